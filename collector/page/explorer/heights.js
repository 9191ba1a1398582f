/**
 * Where each row of a long table stands, of which most are equally high.
 *
 * What the others are higher is kept in a binary indexed tree, so that a place is found in the
 * logarithm of the number of rows.
 */

export class Heights {
  #more = new Map(); // pixels beyond the usual, by index
  #tree = new Float64Array(1);

  constructor(usual) {
    this.usual = usual;
    this.count = 0;
  }

  get total() {
    return this.top(this.count);
  }

  /** Let there be *count* rows, the first *added* of which are new. */
  resize(count, added = 0) {
    const fits = count < this.#tree.length;
    const same = fits && count >= this.count && !added; // what is behind all others changes nothing
    this.count = count;
    if (same) return;
    const more = [...this.#more].map(([index, pixels]) => [index + added, pixels]);
    this.#more = new Map(more.filter(([index]) => index < count));
    if (fits) this.#tree.fill(0);
    else this.#tree = new Float64Array(2 * count + 1); // not once more with each page
    for (const [index, pixels] of this.#more) this.#add(index, pixels);
  }

  /** Forget all heights but the usual. */
  clear(usual = this.usual) {
    this.usual = usual;
    this.#more.clear();
    this.#tree.fill(0);
  }

  height(index) {
    return this.usual + (this.#more.get(index) ?? 0);
  }

  /** Set the height of a row; gives by how much that is more than before. */
  set(index, height) {
    const before = this.height(index);
    if (height === before) return 0;
    this.#add(index, height - before);
    this.#more.set(index, height - this.usual);
    return height - before;
  }

  /** The pixels above a row. */
  top(index) {
    let sum = index * this.usual;
    for (let at = index; at > 0; at -= at & -at) sum += this.#tree[at];
    return sum;
  }

  /** The row at a number of pixels from the top. */
  at(pixels) {
    let [low, high] = [0, Math.max(0, this.count - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.top(middle) <= pixels) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #add(index, more) {
    for (let at = index + 1; at < this.#tree.length; at += at & -at) this.#tree[at] += more;
  }
}
