// The programs of the PBS of the tests: `node client.mjs SOCKET PROGRAM ARGUMENT…` asks the daemon (daemon.ts) and says what it answers. No TypeScript, so that it starts fast.
import { readFileSync } from 'node:fs';
import net from 'node:net';

const [socket, command, ...args] = process.argv.slice(2);
const names = ['PATH', 'HOME', 'USER', 'LOGNAME', 'PBS_JOBID', 'PBS_JOBCOOKIE', 'PBS_ENVIRONMENT'];
const request = {
  command,
  args,
  input: command === 'qsub' && !args.includes('--') ? readFileSync(0, 'utf8') : '',
  env: Object.fromEntries(names.map(name => [name, process.env[name]])),
};
const connection = net.connect(socket);
connection.on('error', () => {
  // As recorded of a server that is down.
  const submits = command === 'qsub';
  process.stderr.write(submits ? 'Connection refused\n' : 'Communication failure.\n');
  process.stderr.write(`${command}: cannot connect to server pbss (errno=${submits ? 15010 : 15031})\n`);
  process.exit(submits ? 162 : 255);
});
connection.write(`${JSON.stringify(request)}\n`);
// pbsdsh(1B): what it is sent it sends to its tasks, and is gone.
if (command === 'pbsdsh')
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'])
    process.once(signal, () => connection.end(`${JSON.stringify({ signal })}\n`, () => process.exit(1)));
let answer = '';
connection.on('data', chunk => (answer += chunk));
connection.on('end', () => {
  if (answer === '') process.exit(1);
  const { stdout, stderr, code } = JSON.parse(answer);
  process.stderr.write(stderr);
  process.stdout.write(stdout, () => process.exit(code));
});
