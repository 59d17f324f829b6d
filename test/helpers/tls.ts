import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atProcessEnd } from "./process-end.ts";

/** PEM files. */
export interface CertificateFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

let made: CertificateFiles | undefined;

/** A CA and a certificate for localhost and 127.0.0.1, made once a process and removed at its exit. */
export function testCertificate(): CertificateFiles {
  made ??= makeCertificate();
  return made;
}

function makeCertificate(): CertificateFiles {
  const folder = mkdtempSync(join(tmpdir(), "mailferry-tls-"));
  atProcessEnd(0, [folder]);
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  writeFileSync(join(folder, "ext"), "subjectAltName=DNS:localhost,DNS:mail.example.com,IP:127.0.0.1\n");
  const caFiles = ["-keyout", "ca.key", "-out", "ca.pem"];
  openssl("req", "-x509", ...newKey, "-days", "30", "-subj", "/CN=Mailferry test CA", ...caFiles);
  openssl("req", ...newKey, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr");
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"];
  openssl("x509", "-req", "-in", "server.csr", ...signing, "-days", "30", "-out", "server.pem");
  return { ca: join(folder, "ca.pem"), cert: join(folder, "server.pem"), key: join(folder, "server.key") };
}
