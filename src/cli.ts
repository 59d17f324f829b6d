#!/usr/bin/env node
/**
 * The command line's entrance. Reading the sources takes longer than most commands, so what Node makes of
 * them is kept beside the dependencies: a folder of the installer's own, never one that others can write.
 */
import { enableCompileCache } from "node:module";
import { join } from "node:path";

enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/mailferry"));
await import("./cli/program.ts");
