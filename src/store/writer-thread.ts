/** The writer's thread: takes jobs in order and answers each. */
import { parentPort } from "node:worker_threads";
import { runJob, toJobError, type WriterJob } from "./writer-jobs.ts";

let temporaries = 0;
const nextTemporary = (): number => ++temporaries;

parentPort?.on("message", ({ id, job }: { readonly id: number; readonly job: WriterJob }) => {
  try {
    parentPort?.postMessage({ id, result: runJob(job, nextTemporary) });
  } catch (error) {
    parentPort?.postMessage({ id, error: toJobError(error) });
  }
});
