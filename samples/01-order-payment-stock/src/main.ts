// `npm start`: order → stock → payment → shipping as four processes, two of them killed in the middle, and the account of every order at the end.
import { endOf, Interrupted } from './supervisor/ending.js';
import { type Options, optionsFrom, USAGE } from './supervisor/options.js';
import { Progress } from './supervisor/progress.js';
import { Scenario } from './supervisor/scenario.js';

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
  return endOf(scenario, (line) => progress.close(line), interrupted);
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
