/** Message-IDs as THREAD takes them from headers (RFC 5256 3, RFC 5322 3.6.4), without brackets and quotes. */

/** All of a field, in order; one that is not closed is one with what follows, as for Dovecot. */
export function messageIds(value: string): readonly string[] {
  const ids: string[] = [];
  for (let start = value.indexOf("<"); start >= 0; ) {
    const end = value.indexOf(">", start);
    if (end < 0) break;
    const id = value.slice(start + 1, end);
    if (id.includes("@")) ids.push(plain(id));
    start = value.indexOf("<", end);
  }
  return ids;
}

/** A quote that is not closed stays; it is looked for once, since a hostile ID can have some ten thousand. */
function plain(id: string): string {
  return id
    .replace(/\s+/g, "")
    .replace(/"((?:[^"\\]|\\.)*)("|$)/g, (quoted: string, text: string, end: string) =>
      end === "" ? quoted : text.replace(/\\(.)/g, "$1"),
    );
}
