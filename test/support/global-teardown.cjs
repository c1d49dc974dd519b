module.exports = async function globalTeardown() {
  const server = globalThis.holdfastTestServer;
  globalThis.holdfastTestServer = undefined;
  await server?.remove();
};
