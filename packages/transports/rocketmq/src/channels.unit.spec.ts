import { SubscriptionLoadBalancer } from 'rocketmq-client-nodejs/dist/consumer/SubscriptionLoadBalancer';
import { PublishingLoadBalancer } from 'rocketmq-client-nodejs/dist/producer/PublishingLoadBalancer';
import { TopicRouteData } from 'rocketmq-client-nodejs/dist/route';
import { Broker, Endpoints, MessageQueue, Permission, Resource } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb';
import { isInTime, numberFor, ofOneAlone } from './channels.js';

/** As a proxy of 5.5.0 writes it: the first message, when it was received and for how long, the note, three more parts, the message itself. */
const handleOf = (since: number, length: number, notes = '0') => `7 ${since} ${length} ${notes} 0 broker-a 2 9`;

describe('the handle of a message that is kept', () => {
  it('begins with the message itself, except where order is kept, or where it cannot be read', () => {
    expect(ofOneAlone(handleOf(1000, 500))).toBe('9 1000 500 0 0 broker-a 2 9');
    for (const handle of [handleOf(1000, 500, '999'), 'opaque']) expect(ofOneAlone(handle)).toBe(handle);
  });

  it.each([
    ['before its time was over', handleOf(5999, 3000), true],
    ['when it was over', handleOf(6000, 3000), false],
    ['before its time was over, in an order, where it counts from when it was received', handleOf(1000, 4999 + 3000), true],
    ['when it was over, in an order', handleOf(1000, 5000 + 3000), false],
    ['by a broker that has passed it, and says no time', handleOf(0, 0), false],
    ['by a proxy whose handles cannot be read', 'opaque', true],
    ['by nobody, as an answer that refuses has no handle', '', true],
  ])('says whether it was kept in time: %s', (_, after, isKept) => {
    expect(isInTime({ before: handleOf(1000, 5000), after }, 3000)).toBe(isKept);
    expect(isInTime({ before: 'opaque', after }, 3000)).toBe(true);
  });
});

/** As a proxy of 5.5.0 counts the queues of a topic: on each broker those first that are only read, or only written. */
function queuesOn(broker: string, { read = 0, write = 0, both = 0 }): MessageQueue[] {
  const kinds = [
    ...Array<Permission>(read).fill(Permission.READ),
    ...Array<Permission>(write).fill(Permission.WRITE),
    ...Array<Permission>(both).fill(Permission.READ_WRITE),
  ];
  return kinds.map((permission, id) => {
    const queue = new MessageQueue();
    queue.setId(id);
    queue.setPermission(permission);
    queue.setTopic(new Resource());
    queue.setBroker(new Broker().setName(broker).setEndpoints(new Endpoints()));
    return queue;
  });
}

describe('the route of a topic', () => {
  it.each([
    ['more queues to be read', { read: 2, both: 2 }],
    ['more queues to be written', { write: 2, both: 2 }],
    ['as many', { both: 2 }],
  ])('has a queue on each broker that the client takes to read, and one to write: %s', (_, counts) => {
    const routeFor = (wanted: Permission) => {
      const queues = [...queuesOn('a', counts), ...queuesOn('b', { both: 4 })];
      numberFor(wanted, queues);
      return new TopicRouteData(queues);
    };
    const reading = new SubscriptionLoadBalancer(routeFor(Permission.READ));
    expect([0, 1].map(() => reading.takeMessageQueue().broker.name).sort()).toEqual(['a', 'b']);
    const writing = new PublishingLoadBalancer(routeFor(Permission.WRITE));
    expect(
      writing
        .takeMessageQueues(new Map(), 9)
        .map(({ broker }) => broker.name)
        .sort(),
    ).toEqual(['a', 'b']);
  });
});
