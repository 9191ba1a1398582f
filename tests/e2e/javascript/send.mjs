// Sends two records through the real SDK: node send.mjs http|proto <url> <job id>
import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter as HttpExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtoExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';

const [encoding, url, job] = process.argv.slice(2);
const Exporter = encoding === 'proto' ? ProtoExporter : HttpExporter;
const exporter = new Exporter({ url, compression: encoding === 'proto' ? 'gzip' : 'none' });
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ 'service.name': 'browser', 'service.instance.id': 'tab-1' }),
  processors: [new BatchLogRecordProcessor({ exporter })],
});
const logger = provider.getLogger('page', '1.2.3');
const attributes = { job_id: Number(job), ratio: 0.5, tags: ['a', 1], nested: { deep: true } };
logger.emit({ severityNumber: SeverityNumber.WARN, severityText: 'WARN', body: 'slow', attributes });
logger.emit({ severityNumber: SeverityNumber.INFO, body: { shown: 'dialog' }, attributes });
await provider.shutdown();
