import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testCertificate } from "../helpers/tls.ts";
import { plainMail, type Served, serveAccount, testTlsContext } from "./served-account.ts";

const run = promisify(execFile);

let served: Served;

beforeEach(async () => {
  served = await serveAccount({ tls: "starttls", tlsContext: testTlsContext() });
});

afterEach(() => served.close());

describe("curl", () => {
  const curl = async (path: string, ...more: string[]): Promise<string> => {
    const url = `imap://localhost:${served.port}${path}`;
    const options = ["-s", "-S", "--ssl-reqd", "--cacert", testCertificate().ca, "-u", "alice:secret"];
    return (await run("curl", [...options, ...more, url])).stdout;
  };

  it("lists, searches and fetches over STARTTLS", async () => {
    expect(await curl("/")).toContain('* LIST (\\Sent \\HasNoChildren) "/" "Sent"');
    expect(await curl("/INBOX?UNSEEN")).toBe("* SEARCH 2 3\r\n");
    expect(await curl("/INBOX;UID=1")).toBe(plainMail);
    expect(await curl("/INBOX;UID=2;SECTION=1")).toBe("text part");
    expect(await curl("/INBOX", "-X", "FETCH 1 RFC822.SIZE")).toContain(`RFC822.SIZE ${plainMail.length}`);
  });

  it("is told that its password is wrong", async () => {
    await expect(curl("/", "-u", "alice:wrong")).rejects.toThrow(/Login denied|Access denied|67/);
  });
});

const imaplibScript = `
import imaplib, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
box = imaplib.IMAP4('localhost', port)
box.starttls(ssl.create_default_context(cafile=ca))
assert box.authenticate('PLAIN', lambda _: b'\\0alice\\0secret')[0] == 'OK'
assert box.namespace() == ('OK', [b'(("" "/")) NIL NIL'])
assert box.select('INBOX', readonly=True) == ('OK', [b'3'])
assert box.response('UIDVALIDITY')[1] == [b'1234']
assert box.search(None, 'UNSEEN') == ('OK', [b'2 3'])
assert box.uid('SEARCH', 'ALL') == ('OK', [b'1 2 3'])
status, data = box.fetch('1', '(FLAGS BODY.PEEK[])')
assert data[0][0].startswith(b'1 (FLAGS (\\\\Seen) BODY[] {'), data
print(len(data[0][1]))
status, data = box.uid('FETCH', '2', '(ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
assert data[0][1] == b'Subject: Second\\r\\n\\r\\n', data
assert box.status('Sent', '(MESSAGES UIDNEXT)')[0] == 'OK'
assert box.append('INBOX', None, None, b'x: y\\r\\n\\r\\nz')[0] == 'OK'
assert box.store('1', '+FLAGS', '(\\\\Deleted)')[0] == 'NO'
assert box.noop()[0] == 'OK'
assert box.unselect()[0] == 'OK'
assert box.logout()[0] == 'BYE'
`;

describe("Python imaplib", () => {
  it("reads and files mail", async () => {
    const { stdout } = await run("python3", ["-c", imaplibScript, String(served.port), testCertificate().ca]);
    expect(stdout.trim()).toBe(String(plainMail.length));
    expect(served.account.openSessions()).toBe(0);
  });
});
