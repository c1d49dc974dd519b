import type { Transport, TransportFactory } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { openService, TripRequested, undoneBy } from './support/trip.js';

/** The database as a transport that notes what it is to serve, in the order in which it is told. */
function noting(asked: string[]): TransportFactory {
  const real = database();
  return {
    ...real,
    create: (context) => {
      const transport = real.create(context);
      const noted: Pick<Transport, 'start' | 'subscribe'> = {
        start: (topology) => {
          asked.push(...topology.subscriptions.map(({ name }) => `start ${name}`));
          return transport.start(topology);
        },
        subscribe: (subscription, sink) => {
          asked.push(`subscribe ${subscription.name}`);
          return transport.subscribe(subscription, sink);
        },
      };
      return new Proxy(transport, {
        get: (target, name) => {
          const value = Reflect.get(name in noted ? noted : target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
  };
}

it('a transport serves aborts before all else, and nothing of what undoes', async () => {
  const asked: string[] = [];
  const trips = await openService('trips', { transport: () => noting(asked) });
  await trips.open(({ bus }) => bus.on(TripRequested, () => undefined, { name: 'hotels.book', ...undoneBy(() => undefined) }));
  const names = ['holdfast.saga-aborted', 'hotels.book'];
  expect(asked).toEqual([...names.map((name) => `start ${name}`), ...names.map((name) => `subscribe ${name}`)]);
  const cursors = await trips.look(
    'select distinct s.name from holdfast_cursor c join holdfast_subscription s on s.id = c.subscription_id order by 1',
  );
  expect(cursors).toEqual(names.map((name) => ({ name })));
  await trips.close();
});
