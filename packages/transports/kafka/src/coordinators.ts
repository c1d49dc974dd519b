import type { Kafka } from 'kafkajs';
import { type CoordinatorAnswer, type CoordinatorQuestion, eachCluster } from './kafkajs-inside.js';

/** What kafkajs asks who looks after a transactional id with; a group is asked for with another one. */
const OF_TRANSACTIONS = 1;

/**
 * Who looks after the transactional id and the group of one producer. kafkajs asks that four times for each transaction, which is nearly half of all it asks. Here it is
 * asked once, and again when a transaction asks twice for its group: then the broker has said that it is somebody else. A producer whose transaction fails
 * for such a reason is given up, and what is known of it too.
 */
export class Coordinators {
  private readonly known = new Map<string, CoordinatorAnswer>();
  private isKeeping = false;
  private hasAskedForGroup = false;

  constructor(kafka: Kafka) {
    eachCluster(kafka, (cluster) => {
      const ask = cluster.findGroupCoordinatorMetadata.bind(cluster);
      cluster.findGroupCoordinatorMetadata = (question) => this.find(question, ask);
    });
  }

  /** A transaction begins. Until the first one nothing is kept: whoever opens an id asks until the right one answers. */
  begin(): void {
    this.isKeeping = true;
    this.hasAskedForGroup = false;
  }

  private async find(
    question: CoordinatorQuestion,
    ask: (question: CoordinatorQuestion) => Promise<CoordinatorAnswer>,
  ): Promise<CoordinatorAnswer> {
    const { groupId, coordinatorType } = question;
    const name = `${coordinatorType} ${groupId}`;
    const isOfGroup = coordinatorType !== OF_TRANSACTIONS;
    const known = isOfGroup && this.hasAskedForGroup ? undefined : this.known.get(name);
    this.hasAskedForGroup ||= isOfGroup;
    if (this.isKeeping && known !== undefined) return known;
    const answer = await ask(question);
    if (this.isKeeping) this.known.set(name, answer);
    return answer;
  }
}
