module.exports = async function globalTeardown() {
  const server = globalThis.holdfastTestServer;
  globalThis.holdfastTestServer = undefined;
  const starters = globalThis.holdfastBrokerStarters ?? [];
  globalThis.holdfastBrokerStarters = undefined;
  await Promise.all([server?.remove(), ...starters.map((starter) => starter?.close())]);
};
