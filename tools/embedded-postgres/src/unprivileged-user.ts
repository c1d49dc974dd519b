import { readFileSync } from 'node:fs';

/** The user that PostgreSQL is run as. */
export interface UnprivilegedUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL refuses to run as root. For root this answers another user of the machine (`nobody` first), for everybody
 * else `undefined`: run it as yourself. The user must exist, because `initdb` asks for its name.
 */
export function unprivilegedUser(): UnprivilegedUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ uid, gid }) => uid > 0 && gid > 0);
  const user = users.find(({ name }) => name === 'nobody') ?? users[0];
  if (!user) throw new Error('PostgreSQL refuses to run as root and /etc/passwd holds no other user: run this as a normal user');
  return { uid: user.uid, gid: user.gid };
}
