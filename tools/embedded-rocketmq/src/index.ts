export { EmbeddedRocketmq, missingTools } from './embedded-rocketmq.js';
export { invoke, type RemotingAnswer, type RemotingRequest } from './remoting.js';
