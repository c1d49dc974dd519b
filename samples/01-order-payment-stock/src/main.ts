// `npm start`: order → stock → payment → shipping as four processes, two of them killed in the middle, and the account of every order at the end.
import { isRight, totalOf } from './supervisor/account.js';
import { type Options, optionsFrom, USAGE } from './supervisor/options.js';
import { Progress } from './supervisor/progress.js';
import { Scenario } from './supervisor/scenario.js';

/** By a signal: the exit code is the one a shell expects. */
class Interrupted extends Error {
  constructor(readonly exitCode: number) {
    super('interrupted');
  }
}

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    for (const [name, number] of Object.entries(SIGNALS)) process.on(name, () => reject(new Interrupted(128 + number)));
  });
}

/** The exit code. */
async function play(options: Options): Promise<number> {
  const interrupted = interruption();
  const progress = new Progress(process.stdout);
  const carriers = {
    database: 'no broker',
    rabbitmq: 'RabbitMQ between them',
    kafka: 'Kafka between them',
    rocketmq: 'RocketMQ between them',
  };
  const carrier = carriers[options.transport];
  progress.say(`Holdfast: order → stock → payment → shipping. Four Nest services, four processes, one PostgreSQL, ${carrier}.\n`);
  const scenario = new Scenario(options, progress);
  // Whatever hangs while it is cleaned up: the services and the server end when this process does.
  setTimeout(() => process.exit(1), options.withinMs - performance.now()).unref();
  const story = scenario.run();
  try {
    const account = await Promise.race([story, interrupted, scenario.failed]);
    await scenario.end();
    progress.close(totalOf(account));
    return isRight(account) ? 0 : 1;
  } catch (error) {
    // Interrupted or failed: what the story still does must not end the process before everything is cleaned up.
    story.catch(() => undefined);
    progress.close(error instanceof Interrupted ? 'Stopping …' : String(error));
    await scenario.end();
    return error instanceof Interrupted ? error.exitCode : 1;
  }
}

async function main(): Promise<void> {
  try {
    const options = optionsFrom(process.argv.slice(2));
    if (options.wantsHelp) console.log(USAGE);
    else process.exit(await play(options));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exitCode = 1;
  }
}

void main();
