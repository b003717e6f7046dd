// Node.js: orders come in by lines of JSON, reports go out so.

import { createInterface } from "node:readline";
import { Worker, isMainThread, parentPort } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { receive } from "./main.mjs";
import { serve } from "./pool.mjs";

if (isMainThread) {
  const worker = new Worker(fileURLToPath(import.meta.url));
  const post = (message, transferred) => worker.postMessage(message, transferred);
  const listen = (handler) => worker.removeAllListeners("message").on("message", handler);
  for await (const line of createInterface({ input: process.stdin })) {
    const report = await receive(JSON.parse(line), post, listen);
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
  await worker.terminate();
} else {
  serve(
    (message, transferred) => parentPort.postMessage(message, transferred),
    (handler) => parentPort.on("message", handler),
  );
}
