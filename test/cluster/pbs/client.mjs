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
// Another server than the tests' is one that cannot be connected to.
const server = process.env.PBS_SERVER ?? process.env.PBS_DEFAULT ?? 'pbss';
const connection = net.connect(server === 'pbss' ? socket : `${socket}-of-${server}`);
/** As recorded of a server that is down: qstat prints an empty list all the same. */
const refuse = () => {
  process.stderr.write(`Connection refused\n${command}: cannot connect to server ${server} (errno=15010)\n`);
  if (command === 'qstat' && args.includes('json'))
    process.stdout.write(
      '{\n\t"timestamp":\t1795810703,\n\t"pbs_version":\t"23.06.06",\n\t"pbs_server":\t"pbss"\n}\n',
    );
  process.exit(command === 'qstat' ? 255 : 162);
};
connection.on('error', refuse);
connection.write(`${JSON.stringify(request)}\n`);
// pbsdsh(1B): what it is sent it sends to its tasks, and is gone.
if (command === 'pbsdsh')
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'])
    process.once(signal, () => connection.end(`${JSON.stringify({ signal })}\n`, () => process.exit(1)));
let answer = '';
connection.on('data', chunk => (answer += chunk));
connection.on('end', () => {
  if (answer === '' && command !== 'pbsdsh') refuse();
  if (answer === '') process.exit(1);
  const { stdout, stderr, code } = JSON.parse(answer);
  process.stderr.write(stderr);
  process.stdout.write(stdout, () => process.exit(code));
});
