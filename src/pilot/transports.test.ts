import { transportContract, type TransportUnderTest } from './transport.contract.ts';
import { httpTransport } from './transport-http.ts';
import { webSocketTransport } from './transport-websocket.ts';

/** WebSocket and HTTP through the contract; ssh goes through it with a real sshd, in test/e2e/transports.test.ts. */

const over = (transport: typeof httpTransport): TransportUnderTest => ({
  begin: serviceUrl => Number(new URL(serviceUrl).port),
  make: (assignment, node, port, clock) =>
    transport({ ...assignment, serviceUrl: `http://127.0.0.1:${port}` }, node, clock),
});

transportContract('WebSocket', () => over(webSocketTransport));
transportContract('HTTP', () => over(httpTransport));
