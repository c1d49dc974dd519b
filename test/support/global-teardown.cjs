module.exports = async function globalTeardown() {
  const server = globalThis.holdfastTestServer;
  globalThis.holdfastTestServer = undefined;
  const starter = globalThis.holdfastKafkaStarter;
  globalThis.holdfastKafkaStarter = undefined;
  await Promise.all([server?.remove(), starter?.close()]);
};
