// Plain JavaScript, because Jest's global set-up uses it before anything is compiled.
const { readdirSync, readFileSync } = require('node:fs');
const { dirname, join, relative } = require('node:path');

/** Where suites are, and how each says that it needs a broker, or one of its own. */
const ROOTS = ['packages', 'test', 'tools', 'samples', 'bench'];
const BROKERS = [
  { name: 'RabbitMQ', found: 'rabbit', tool: 'rabbitmq', shared: /\bdescribeWithRabbit\(/, own: /\bdescribeWithOwnRabbit\b/ },
  { name: 'Kafka', found: 'kafka', tool: 'kafka', shared: /\bdescribeWithKafka\(/, own: /\bdescribeWithOwnKafka\b/ },
  { name: 'RocketMQ', found: 'rocketmq', tool: 'rocketmq', shared: /\bdescribeWithRocketmq\(/, own: /\bdescribeWithOwnRocketmq\b/ },
];

/**
 * A line for each broker that suites of this run miss: how many files, where, and why.
 *
 * @param found what `findBrokers` found; @param missing why a broker cannot be started here, by the name of its tool; @param files paths and texts of the run's spec files
 */
function skippedSuites({ found, missing, files }) {
  return BROKERS.flatMap(({ name, found: key, tool, shared, own }) => {
    const { reason, isNamed } = found[key];
    const cannotStart = missing(tool);
    return [
      ...lineOf({ what: `a ${name}`, reason, files, pattern: shared, inCi: 'or with CI=true fail' }),
      ...lineOf({
        what: `a ${name} of their own`,
        reason: cannotStart && `none can be started here: ${cannotStart}`,
        files,
        pattern: own,
        inCi: isNamed ? 'also with CI=true' : 'or with CI=true fail',
      }),
    ];
  });
}

function lineOf({ what, reason, files, pattern, inCi }) {
  const theirs = reason === undefined ? [] : files.filter(({ text }) => pattern.test(text));
  if (theirs.length === 0) return [];
  const folders = new Map();
  for (const { path } of theirs) folders.set(dirname(path), (folders.get(dirname(path)) ?? 0) + 1);
  const places = [...folders].map(([folder, count]) => `${folder} (${count})`).join(', ');
  return [`${theirs.length} files of tests that need ${what} are skipped, ${inCi}: ${reason}. They are in ${places}`];
}

/** Spec files whose paths match what the run was asked for; all of them when it was asked for nothing. */
function specFiles(root, patterns = []) {
  const isAsked = (path) => patterns.length === 0 || patterns.some((pattern) => new RegExp(pattern, 'i').test(path));
  return ROOTS.flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.spec.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/[\\/](node_modules|dist)[\\/]/.test(path) && isAsked(path))
    .sort()
    .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }));
}

module.exports = { skippedSuites, specFiles };
