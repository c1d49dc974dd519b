import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who a node is, and which folder of it this is. All else that a format writes is the same for all nodes: the versions of their features. */
const PROPERTIES = 'meta.properties';

/**
 * Copies a folder that Kafka's own tool has formatted, for another node of a cluster with the same id.
 *
 * @param target may not be there yet
 * @returns false, with nothing at the target, where the folder is not whole
 */
export function copyFormatted(source: string, target: string, node: { readonly id: number }): boolean {
  const place = join(source, PROPERTIES);
  const lines = existsSync(place) ? readFileSync(place, 'utf8').split('\n') : [];
  // A folder with an id is told from all others by it.
  const own = { 'node.id': String(node.id), 'directory.id': randomBytes(16).toString('base64url') };
  const names = lines.map((line) => line.split('=')[0] ?? '');
  if (!Object.keys(own).every((name) => names.includes(name))) return false;
  const changed = lines.map((line, n) => {
    const name = names[n] as string;
    return name in own ? `${name}=${own[name as keyof typeof own]}` : line;
  });
  cpSync(source, target, { recursive: true });
  writeFileSync(join(target, PROPERTIES), changed.join('\n'));
  return true;
}
