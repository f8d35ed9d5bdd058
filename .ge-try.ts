import { startGridEngine } from '/work/main/test/cluster/gridengine.ts';
const t=Date.now();
const c = await startGridEngine({ nodes: 3 });
console.log('up after', Date.now()-t, c.directory);
console.log(Object.entries(c.env).map(([k,v])=>`export ${k}=${v}`).join('\n'));
process.on('SIGTERM', () => c.stop().then(()=>process.exit(0)));
setInterval(()=>{}, 1000);
