import { randomBytes } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who a node is, and which folder of it this is. All else that a format writes is the same for all nodes: the versions of their features. */
const PROPERTIES = 'meta.properties';

/**
 * Copies a folder that Kafka's own tool has formatted, for another node of a cluster with the same id.
 *
 * @param target may not be there yet
 */
export function copyFormatted(source: string, target: string, node: { readonly id: number }): void {
  cpSync(source, target, { recursive: true });
  const place = join(target, PROPERTIES);
  // A folder with an id is told from all others by it.
  const own = { 'node.id': String(node.id), 'directory.id': randomBytes(16).toString('base64url') };
  const lines = readFileSync(place, 'utf8').split('\n');
  const changed = lines.map((line) => {
    const [name = ''] = line.split('=');
    return name in own ? `${name}=${own[name as keyof typeof own]}` : line;
  });
  writeFileSync(place, changed.join('\n'));
}
