/**
 * A thread that does what touches many files; one is shared by all accounts. Jobs are done in the order
 * they were given. The bytes waiting for it are bounded: who comes with more waits.
 */
import { Worker } from "node:worker_threads";
import { MailError } from "../errors.ts";
import { toStoreError } from "./store-errors.ts";
import type { JobError, WriterJob, WriterResults } from "./writer-jobs.ts";

export interface WriterJobs {
  /** Rejects with UNAVAILABLE where the disk refuses. `data` of a job is transferred: it is gone here. */
  run<K extends WriterJob["kind"]>(job: WriterJob & { readonly kind: K }): Promise<WriterResults[K]>;
}

export interface Writer extends WriterJobs {
  /** Starts the thread ahead of its first job. */
  start(): void;
  /** What was given before is done first. */
  close(): Promise<void>;
}

export interface WriterOptions {
  /** Bytes of messages that may wait. */
  readonly maxWaitingBytes?: number;
}

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
  readonly bytes: number;
}

type Answer = { readonly id: number; readonly result?: unknown; readonly error?: JobError };

export function createWriter({ maxWaitingBytes = 64 << 20 }: WriterOptions = {}): Writer {
  const pending = new Map<number, Pending>();
  const waitingForRoom: (() => void)[] = [];
  let worker: Worker | undefined;
  let waitingBytes = 0;
  let lastId = 0;
  let closed = false;

  const settle = (id: number, how: (job: Pending) => void): void => {
    const job = pending.get(id);
    if (!job) return;
    pending.delete(id);
    waitingBytes -= job.bytes;
    how(job);
    for (const proceed of waitingForRoom.splice(0)) proceed();
  };
  const start = (): Worker => {
    const started = new Worker(new URL("./writer-thread.ts", import.meta.url));
    const fail = (cause: unknown): void => {
      if (worker === started) worker = undefined;
      for (const id of [...pending.keys()]) {
        settle(id, (job) => job.reject(new MailError("UNAVAILABLE", "the writer has stopped", cause)));
      }
    };
    started.on("message", ({ id, result, error }: Answer) => {
      settle(id, (job) => (error ? job.reject(fromJobError(error)) : job.resolve(result as never)));
    });
    started.on("error", fail);
    started.on("exit", (code) => fail(new Error(`writer thread exited with ${code}`)));
    return started;
  };
  const room = async (bytes: number): Promise<void> => {
    while (waitingBytes > 0 && waitingBytes + bytes > maxWaitingBytes) {
      await new Promise<void>((resolve) => waitingForRoom.push(resolve));
    }
  };

  return {
    start() {
      if (!closed) worker ??= start();
    },
    async run(job) {
      const data = transferable(job);
      const bytes = data?.byteLength ?? 0;
      await room(bytes);
      if (closed) throw new MailError("UNAVAILABLE", "the writer is closed");
      worker ??= start();
      const id = ++lastId;
      waitingBytes += bytes;
      const target = worker;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject, bytes });
        target.postMessage({ id, job }, data ? [data] : []);
      });
    },
    async close() {
      closed = true;
      while (pending.size > 0) await new Promise<void>((resolve) => waitingForRoom.push(resolve));
      await worker?.terminate();
      worker = undefined;
    },
  };
}

const readingJobs: ReadonlySet<WriterJob["kind"]> = new Set(["stat", "sync", "checkDatabase"]);

/** The jobs that one account gives: `wrote` is called after each that changes files, however it has ended. */
export function jobsOf(writer: WriterJobs, wrote: () => void): WriterJobs {
  return {
    run(job) {
      const done = writer.run(job);
      return readingJobs.has(job.kind) ? done : done.finally(wrote);
    },
  };
}

function transferable(job: WriterJob): ArrayBuffer | undefined {
  return job.kind === "file" ? job.data : undefined;
}

/** The system's error as it was in the thread, or UNAVAILABLE around it. */
export function fromJobError({ code, message }: JobError): unknown {
  return toStoreError(Object.assign(new Error(message), { code }));
}
