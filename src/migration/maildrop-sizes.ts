/**
 * What an old POP3 server's LIST is worth, found out as its messages come: some tell 0, or blocks. One for each server,
 * so that it does not cost every user a session a message to find that out.
 */
export interface MaildropSizes {
  noteAgreed(): void;
  /** A message was proven whole though LIST tells another size. */
  noteWrong(): void;
  /** What stands behind each message is looked at in their place. */
  readonly areWorthless: boolean;
}

/** One message may be an odd one. */
const proofs = 3;

const known = new WeakMap<object, MaildropSizes>();

export function sizesOf(server: object): MaildropSizes {
  const found = known.get(server) ?? createSizes();
  known.set(server, found);
  return found;
}

function createSizes(): MaildropSizes {
  let agreed = 0;
  let wrong = 0;
  return {
    noteAgreed: () => void agreed++,
    noteWrong: () => void wrong++,
    get areWorthless() {
      return wrong >= proofs && wrong > agreed;
    },
  };
}
