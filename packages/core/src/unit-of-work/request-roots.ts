import { channel } from 'node:diagnostics_channel';
import type { ScopeStorage } from './scope.js';

// Held for ever: Node forgets a channel that nobody refers to, and its subscribers with it.
const REQUESTS = channel('http.server.request.start');

/**
 * Lets every HTTP/1 request that this process receives begin in a root context. Requests inherit the context in which the server began to listen,
 * and before Node 24 those of one connection share theirs, so that what one of them noted is seen by the next.
 *
 * @source https://nodejs.org/api/diagnostics_channel.html: the channel is published to before the server's own listeners are called
 * @returns leaves requests alone again
 */
export function rootRequests(scopes: Pick<ScopeStorage, 'beginRoot'>): () => void {
  const begin = (): void => scopes.beginRoot();
  REQUESTS.subscribe(begin);
  return () => {
    REQUESTS.unsubscribe(begin);
  };
}
