import { createHash } from 'node:crypto';

/**
 * Which of the nodes a piece of work belongs to: the one with the highest hash of both. All nodes that know the same list agree, and when one
 * leaves only its own work moves.
 *
 * @source Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998): rendezvous hashing
 */
export function preferredNode(nodes: readonly string[], work: string): string | undefined {
  let best: string | undefined;
  let highest = '';
  for (const node of nodes) {
    const weight = weightOf(node, work);
    if (weight > highest) {
      highest = weight;
      best = node;
    }
  }
  return best;
}

const weights = new Map<string, string>();
const MAX_REMEMBERED = 20_000;

function weightOf(node: string, work: string): string {
  const name = `${node} ${work}`;
  const known = weights.get(name);
  if (known !== undefined) return known;
  if (weights.size >= MAX_REMEMBERED) weights.clear();
  const weight = createHash('sha256').update(name).digest('hex');
  weights.set(name, weight);
  return weight;
}
