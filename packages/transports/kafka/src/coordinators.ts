import type { Kafka } from 'kafkajs';
import { type CoordinatorAnswer, type CoordinatorQuestion, eachCluster } from './kafkajs-inside.js';

/**
 * Who looks after the transactional id and the group of one producer. kafkajs asks that four times for each transaction, which is nearly half of all it asks. Here it is
 * asked once, and again after a broker could not be reached, or kafkajs looks at its cluster anew, as it does before each next try: it may be somebody else by then.
 */
export class Coordinators {
  private readonly known = new Map<string, CoordinatorAnswer>();
  private isKeeping = false;

  constructor(kafka: Kafka) {
    eachCluster(kafka, (cluster) => {
      const ask = cluster.findGroupCoordinatorMetadata.bind(cluster);
      cluster.findGroupCoordinatorMetadata = (question) => this.find(question, ask);
      const refresh = cluster.refreshMetadata.bind(cluster);
      cluster.refreshMetadata = () => {
        this.known.clear();
        return refresh();
      };
      const reach = cluster.findBroker.bind(cluster);
      cluster.findBroker = (place) =>
        reach(place).catch((error) => {
          this.known.clear();
          throw error;
        });
    });
  }

  /** A transaction begins. Until the first one nothing is kept: whoever opens an id asks until the right one answers. */
  begin(): void {
    this.isKeeping = true;
  }

  private async find(
    question: CoordinatorQuestion,
    ask: (question: CoordinatorQuestion) => Promise<CoordinatorAnswer>,
  ): Promise<CoordinatorAnswer> {
    const { groupId, coordinatorType } = question;
    const name = `${coordinatorType} ${groupId}`;
    const known = this.known.get(name);
    if (this.isKeeping && known !== undefined) return known;
    const answer = await ask(question);
    if (this.isKeeping) this.known.set(name, answer);
    return answer;
  }
}
