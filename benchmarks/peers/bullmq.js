// BullMQ's side: `node bullmq.js NODE_MODULES worker`, or `... producer`, which answers a line of JSON for each it reads.
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");

const [modules, role] = process.argv.slice(2);
const { FlowProducer, Queue, Worker } = require(path.join(modules, "bullmq"));

const redis = new URL(process.env.BENCH_REDIS);
const connection = { host: redis.hostname, port: Number(redis.port || 6379), maxRetriesPerRequest: null };
const NAME = "bench";
const CONCURRENCY = 50;

const seconds = (from) => Number(process.hrtime.bigint() - from) / 1e9;
const numbers = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);

function startWorker() {
  const file = fs.openSync(path.join(process.env.BENCH_MARKS, String(process.pid)), "a");
  const mark = (number, values = -1) => {
    const record = Buffer.alloc(24); // as benchmarks/marks.py has it
    record.writeBigInt64LE(BigInt(number), 0);
    record.writeBigInt64LE(BigInt(values), 8);
    record.writeBigInt64LE(process.hrtime.bigint(), 16);
    fs.writeSync(file, record);
  };
  const work = async (job) => {
    const { number } = job.data;
    mark(number, job.name === "parent" ? Object.keys(await job.getChildrenValues()).length : -1);
    return { number };
  };
  const worker = new Worker(NAME, work, { connection, concurrency: CONCURRENCY });
  worker.on("error", console.error);
  process.on("SIGTERM", () => process.exit(0));
}

function startProducer() {
  const queue = new Queue(NAME, { connection });
  const flows = new FlowProducer({ connection });
  const answers = {
    async add({ count }) {
      const began = process.hrtime.bigint();
      for (const number of numbers(0, count)) await queue.add("job", { number });
      return seconds(began);
    },
    async addMany({ count }) {
      const began = process.hrtime.bigint();
      for (let first = 0; first < count; first += 1000) {
        const some = numbers(first, Math.min(count, first + 1000));
        await queue.addBulk(some.map((number) => ({ name: "job", data: { number } })));
      }
      return seconds(began);
    },
    async addFlows({ count, children }) {
      const began = process.hrtime.bigint();
      const each = [];
      for (const number of numbers(0, count)) {
        const start = process.hrtime.bigint();
        const leaves = numbers(0, children).map((n) => ({ name: "job", queueName: NAME, data: { number: n } }));
        await flows.add({ name: "parent", queueName: NAME, data: { number }, children: leaves });
        each.push(seconds(start));
      }
      return [Number(began), each];
    },
    async send({ count, pause }) {
      const sent = [];
      for (const number of numbers(0, count)) {
        await queue.add("job", { number });
        sent.push(Number(process.hrtime.bigint()));
        await new Promise((resolve) => setTimeout(resolve, pause * 1000));
      }
      return sent;
    },
    async unfinished() {
      const counts = await queue.getJobCounts("wait", "prioritized", "active", "delayed", "waiting-children");
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    },
  };
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const request = JSON.parse(line);
    process.stdout.write(JSON.stringify(await answers[request.do](request)) + "\n");
  });
  lines.on("close", () => process.exit(0));
}

role === "worker" ? startWorker() : startProducer();
