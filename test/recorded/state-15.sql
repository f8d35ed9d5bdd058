-- What the service of commit d15ec10 (schema 15) has left; src/service/store/recorded.test.ts says what is in it.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE workspaces (id text primary key, body text not null) strict;
INSERT INTO workspaces VALUES('ws-6lugzd4rx3','{"id":"ws-6lugzd4rx3","name":"past","owner":"ann","project":"lattice","state":"ended","cause":"destroyed","reason":{"code":"destroyed","message":"destroyed by ann"},"groups":[{"name":"w","image":"mini","count":2,"memoryMiB":256,"cpus":1,"networks":["private"],"roles":[]}],"pools":[],"slotId":"slot-pw73okqevc","vmIds":["ws-6lugzd4rx3.w-0","ws-6lugzd4rx3.w-1"],"durationMs":7200000,"createdAt":1700000000000,"startsAt":1700000000000,"endsAt":1700007200000,"suspendedMs":0,"endingDeadlineAt":null,"endedAt":1700000601000,"deployDeadlineAt":null,"startBy":null,"keepPartial":false,"requeue":false,"requeues":0,"heal":"fail","clientToken":"token-of-past","requestDigest":"cbnOw298Gw8HWGwxS9A4tuLwBLBGun3QsU-2O_aLcKE","vnis":{"private":39916},"noticesGivenMs":[]}');
INSERT INTO workspaces VALUES('ws-xpegzu4jxh','{"id":"ws-xpegzu4jxh","name":"runs","owner":"ann","project":null,"state":"running","cause":null,"reason":null,"groups":[{"name":"w","image":"mini","count":2,"memoryMiB":256,"cpus":1,"networks":["private"],"roles":[]}],"pools":[],"slotId":"slot-mniynwdwf2","vmIds":["ws-xpegzu4jxh.w-0","ws-xpegzu4jxh.w-1"],"durationMs":7200000,"createdAt":1700000606000,"startsAt":1700000606000,"endsAt":1700007806000,"suspendedMs":0,"endingDeadlineAt":null,"endedAt":null,"deployDeadlineAt":null,"startBy":null,"keepPartial":false,"requeue":false,"requeues":0,"heal":"fail","clientToken":null,"requestDigest":null,"vnis":{"private":40145},"noticesGivenMs":[]}');
INSERT INTO workspaces VALUES('ws-tn72agnvbq','{"id":"ws-tn72agnvbq","name":"waits","owner":"bob","project":null,"state":"queued","cause":null,"reason":null,"groups":[{"name":"w","image":"mini","count":1,"memoryMiB":256,"cpus":1,"networks":["private"],"roles":[]}],"pools":[],"slotId":"slot-oybs2gngne","vmIds":["ws-tn72agnvbq.w-0"],"durationMs":3600000,"createdAt":1700000607000,"startsAt":null,"endsAt":null,"suspendedMs":0,"endingDeadlineAt":null,"endedAt":null,"deployDeadlineAt":null,"startBy":null,"keepPartial":false,"requeue":false,"requeues":0,"heal":"fail","clientToken":null,"requestDigest":null,"vnis":{"private":23446},"noticesGivenMs":[]}');
INSERT INTO workspaces VALUES('ws-4fnpzv5hvf','{"id":"ws-4fnpzv5hvf","name":"grows","owner":"ann","project":null,"state":"pending","cause":null,"reason":null,"groups":[{"name":"w","image":"mini","count":1,"memoryMiB":256,"cpus":1,"networks":["private"],"roles":[]}],"pools":[],"slotId":"slot-2bpwxf6lmd","vmIds":[],"durationMs":3600000,"createdAt":1700000607000,"startsAt":null,"endsAt":null,"suspendedMs":0,"endingDeadlineAt":null,"endedAt":null,"deployDeadlineAt":null,"startBy":null,"keepPartial":false,"requeue":false,"requeues":0,"heal":"fail","clientToken":null,"requestDigest":null,"vnis":{},"noticesGivenMs":[]}');
INSERT INTO workspaces VALUES('ws-nag56yesxs','{"id":"ws-nag56yesxs","name":"owed","owner":"bob","project":null,"state":"requested","cause":null,"reason":null,"groups":[{"name":"w","image":"mini","count":1,"memoryMiB":256,"cpus":1,"networks":["private"],"roles":[]}],"pools":[],"slotId":"slot-wncq5lzwxi","vmIds":["ws-nag56yesxs.w-0"],"durationMs":3600000,"createdAt":1700000608000,"startsAt":null,"endsAt":null,"suspendedMs":0,"endingDeadlineAt":null,"endedAt":null,"deployDeadlineAt":null,"startBy":null,"keepPartial":false,"requeue":false,"requeues":0,"heal":"fail","clientToken":null,"requestDigest":null,"vnis":{"private":16524},"noticesGivenMs":[]}');
CREATE TABLE slots (id text primary key, body text not null) strict;
INSERT INTO slots VALUES('slot-pw73okqevc','{"id":"slot-pw73okqevc","pool":"default","workspaceIds":["ws-6lugzd4rx3"],"owner":"ann","warm":false,"state":"released","reason":{"code":"destroyed","message":"destroyed by ann"},"lrmJobId":"1","lrmState":"completed","lrmReason":null,"lrmOutlook":null,"lrmTrouble":null,"suspendedSince":null,"cancelOrdered":false,"jobNodes":["past-0","past-1"],"estimatedStartAt":null,"jobEndsAt":null,"nodesWanted":2,"memoryMiBPerNode":320,"cpusPerNode":1,"walltimeMs":7320000,"nodes":[{"name":"past-0","state":"released","reason":null,"address":"10.0.0.1","connected":false,"silentSince":1700000601000,"hungUp":false,"appliedSeq":4,"told":2},{"name":"past-1","state":"released","reason":null,"address":"10.0.0.1","connected":false,"silentSince":1700000601000,"hungUp":false,"appliedSeq":4,"told":2}],"createdAt":1700000000000,"submittedAt":1700000000000,"deadlineAt":null,"endedAt":1700000601000}');
INSERT INTO slots VALUES('slot-mniynwdwf2','{"id":"slot-mniynwdwf2","pool":"default","workspaceIds":["ws-xpegzu4jxh"],"owner":"ann","warm":false,"state":"ready","reason":null,"lrmJobId":"2","lrmState":"running","lrmReason":null,"lrmOutlook":null,"lrmTrouble":{"doing":"list","kind":"unavailable","message":"no answer","since":1700000609000},"suspendedSince":null,"cancelOrdered":false,"jobNodes":["runs-0","runs-1"],"estimatedStartAt":null,"jobEndsAt":null,"nodesWanted":2,"memoryMiBPerNode":320,"cpusPerNode":1,"walltimeMs":7320000,"nodes":[{"name":"runs-0","state":"reserved","reason":null,"address":"10.0.0.1","connected":true,"silentSince":null,"hungUp":false,"appliedSeq":2,"told":1},{"name":"runs-1","state":"reserved","reason":null,"address":"10.0.0.1","connected":true,"silentSince":null,"hungUp":false,"appliedSeq":2,"told":1}],"createdAt":1700000606000,"submittedAt":1700000606000,"deadlineAt":null,"endedAt":null}');
INSERT INTO slots VALUES('slot-oybs2gngne','{"id":"slot-oybs2gngne","pool":"default","workspaceIds":["ws-tn72agnvbq"],"owner":"bob","warm":false,"state":"queued","reason":null,"lrmJobId":"3","lrmState":"waiting","lrmReason":null,"lrmOutlook":null,"lrmTrouble":{"doing":"list","kind":"unavailable","message":"no answer","since":1700000609000},"suspendedSince":null,"cancelOrdered":false,"jobNodes":[],"estimatedStartAt":null,"jobEndsAt":null,"nodesWanted":1,"memoryMiBPerNode":320,"cpusPerNode":1,"walltimeMs":3720000,"nodes":[],"createdAt":1700000607000,"submittedAt":1700000607000,"deadlineAt":null,"endedAt":null}');
INSERT INTO slots VALUES('slot-wncq5lzwxi','{"id":"slot-wncq5lzwxi","pool":"default","workspaceIds":["ws-nag56yesxs"],"owner":"bob","warm":false,"state":"requested","reason":null,"lrmJobId":null,"lrmState":null,"lrmReason":null,"lrmOutlook":null,"lrmTrouble":{"doing":"submit","kind":"unavailable","message":"no answer","since":1700000608000},"suspendedSince":null,"cancelOrdered":false,"jobNodes":[],"estimatedStartAt":null,"jobEndsAt":null,"nodesWanted":1,"memoryMiBPerNode":320,"cpusPerNode":1,"walltimeMs":3720000,"nodes":[],"createdAt":1700000608000,"submittedAt":null,"deadlineAt":1700004208000,"endedAt":null}');
CREATE TABLE vms (id text primary key, body text not null) strict;
INSERT INTO vms VALUES('ws-6lugzd4rx3.w-0','{"id":"ws-6lugzd4rx3.w-0","workspaceId":"ws-6lugzd4rx3","slotId":"slot-pw73okqevc","group":"w","index":0,"name":"w-0","state":"terminated","context":"ok","reason":null,"node":"past-0","image":"mini","memoryMiB":256,"cpus":1,"nics":[{"network":"private","mac":"52:54:0a:5a:00:01","address":"10.90.0.1","tap":"wt0a5a0001"}],"orders":0,"replaces":0,"told":3}');
INSERT INTO vms VALUES('ws-6lugzd4rx3.w-1','{"id":"ws-6lugzd4rx3.w-1","workspaceId":"ws-6lugzd4rx3","slotId":"slot-pw73okqevc","group":"w","index":1,"name":"w-1","state":"terminated","context":"ok","reason":null,"node":"past-1","image":"mini","memoryMiB":256,"cpus":1,"nics":[{"network":"private","mac":"52:54:0a:5a:00:02","address":"10.90.0.2","tap":"wt0a5a0002"}],"orders":0,"replaces":0,"told":3}');
INSERT INTO vms VALUES('ws-xpegzu4jxh.w-0','{"id":"ws-xpegzu4jxh.w-0","workspaceId":"ws-xpegzu4jxh","slotId":"slot-mniynwdwf2","group":"w","index":0,"name":"w-0","state":"running","context":"ok","reason":null,"node":"runs-0","image":"mini","memoryMiB":256,"cpus":1,"nics":[{"network":"private","mac":"52:54:0a:5a:00:01","address":"10.90.0.1","tap":"wt0a5a0001"}],"orders":0,"replaces":0,"told":2}');
INSERT INTO vms VALUES('ws-xpegzu4jxh.w-1','{"id":"ws-xpegzu4jxh.w-1","workspaceId":"ws-xpegzu4jxh","slotId":"slot-mniynwdwf2","group":"w","index":1,"name":"w-1","state":"running","context":"ok","reason":null,"node":"runs-1","image":"mini","memoryMiB":256,"cpus":1,"nics":[{"network":"private","mac":"52:54:0a:5a:00:02","address":"10.90.0.2","tap":"wt0a5a0002"}],"orders":0,"replaces":0,"told":2}');
INSERT INTO vms VALUES('ws-tn72agnvbq.w-0','{"id":"ws-tn72agnvbq.w-0","workspaceId":"ws-tn72agnvbq","slotId":"slot-oybs2gngne","group":"w","index":0,"name":"w-0","state":"pending","context":"pending","reason":null,"node":null,"image":"mini","memoryMiB":256,"cpus":1,"nics":[{"network":"private","mac":"52:54:0a:5a:00:03","address":"10.90.0.3","tap":"wt0a5a0003"}],"orders":0,"replaces":0,"told":0}');
INSERT INTO vms VALUES('ws-nag56yesxs.w-0','{"id":"ws-nag56yesxs.w-0","workspaceId":"ws-nag56yesxs","slotId":"slot-wncq5lzwxi","group":"w","index":0,"name":"w-0","state":"pending","context":"pending","reason":null,"node":null,"image":"mini","memoryMiB":256,"cpus":1,"nics":[{"network":"private","mac":"52:54:0a:5a:00:04","address":"10.90.0.4","tap":"wt0a5a0004"}],"orders":0,"replaces":0,"told":0}');
CREATE TABLE events (
     seq integer primary key autoincrement,
     at integer not null,
     recorded_at integer not null,
     type text not null,
     workspace_id text,
     slot_id text,
     vm_id text,
     node text,
     reason text
   ) strict;
INSERT INTO events VALUES(1,1700000000000,1700000000000,'workspace.requested','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(2,1700000000000,1700000000000,'slot.requested','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(3,1700000000000,1700000000000,'slot.queued','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(4,1700000000000,1700000000000,'workspace.queued','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(5,1700000000000,1700000000000,'node.connected','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-0',NULL);
INSERT INTO events VALUES(6,1700000000000,1700000000000,'slot.reserving','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(7,1700000000000,1700000000000,'node.reserved','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-0',NULL);
INSERT INTO events VALUES(8,1700000000000,1700000000000,'node.connected','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-1',NULL);
INSERT INTO events VALUES(9,1700000000000,1700000000000,'node.reserved','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-1',NULL);
INSERT INTO events VALUES(10,1700000000000,1700000000000,'slot.ready','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(11,1700000000000,1700000000000,'workspace.deploying','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(12,1700000000000,1700000000000,'vm.placed','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-0','past-0',NULL);
INSERT INTO events VALUES(13,1700000000000,1700000000000,'vm.placed','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-1','past-1',NULL);
INSERT INTO events VALUES(14,1700000000000,1700000000000,'vm.context.ok','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-0','past-0',NULL);
INSERT INTO events VALUES(15,1700000000000,1700000000000,'vm.running','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-0','past-0',NULL);
INSERT INTO events VALUES(16,1700000000000,1700000000000,'vm.context.ok','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-1','past-1',NULL);
INSERT INTO events VALUES(17,1700000000000,1700000000000,'vm.running','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-1','past-1',NULL);
INSERT INTO events VALUES(18,1700000000000,1700000000000,'workspace.running','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,NULL);
INSERT INTO events VALUES(19,1700000000000,1700000000000,'slot.lrm','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,'{"code":"running","message":"the LRM''s job is running"}');
INSERT INTO events VALUES(20,1700000601000,1700000601000,'workspace.ending','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,'{"code":"destroyed","message":"destroyed by ann"}');
INSERT INTO events VALUES(21,1700000601000,1700000601000,'vm.stopping','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-0','past-0',NULL);
INSERT INTO events VALUES(22,1700000601000,1700000601000,'vm.stopping','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-1','past-1',NULL);
INSERT INTO events VALUES(23,1700000601000,1700000601000,'vm.terminated','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-0','past-0',NULL);
INSERT INTO events VALUES(24,1700000601000,1700000601000,'vm.terminated','ws-6lugzd4rx3','slot-pw73okqevc','ws-6lugzd4rx3.w-1','past-1',NULL);
INSERT INTO events VALUES(25,1700000601000,1700000601000,'slot.releasing','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,'{"code":"destroyed","message":"destroyed by ann"}');
INSERT INTO events VALUES(26,1700000601000,1700000601000,'workspace.ended','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,'{"code":"destroyed","message":"destroyed by ann"}');
INSERT INTO events VALUES(27,1700000601000,1700000601000,'node.released','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-0',NULL);
INSERT INTO events VALUES(28,1700000601000,1700000601000,'node.disconnected','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-0',NULL);
INSERT INTO events VALUES(29,1700000601000,1700000601000,'node.released','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-1',NULL);
INSERT INTO events VALUES(30,1700000601000,1700000601000,'node.disconnected','ws-6lugzd4rx3','slot-pw73okqevc',NULL,'past-1',NULL);
INSERT INTO events VALUES(31,1700000601000,1700000601000,'slot.lrm','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,'{"code":"completed","message":"the LRM''s job is completed"}');
INSERT INTO events VALUES(32,1700000601000,1700000601000,'slot.released','ws-6lugzd4rx3','slot-pw73okqevc',NULL,NULL,'{"code":"destroyed","message":"destroyed by ann"}');
INSERT INTO events VALUES(33,1700000606000,1700000606000,'workspace.requested','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(34,1700000606000,1700000606000,'slot.requested','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(35,1700000606000,1700000606000,'slot.queued','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(36,1700000606000,1700000606000,'workspace.queued','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(37,1700000606000,1700000606000,'node.connected','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,'runs-0',NULL);
INSERT INTO events VALUES(38,1700000606000,1700000606000,'slot.reserving','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(39,1700000606000,1700000606000,'node.reserved','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,'runs-0',NULL);
INSERT INTO events VALUES(40,1700000606000,1700000606000,'node.connected','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,'runs-1',NULL);
INSERT INTO events VALUES(41,1700000606000,1700000606000,'node.reserved','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,'runs-1',NULL);
INSERT INTO events VALUES(42,1700000606000,1700000606000,'slot.ready','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(43,1700000606000,1700000606000,'workspace.deploying','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(44,1700000606000,1700000606000,'vm.placed','ws-xpegzu4jxh','slot-mniynwdwf2','ws-xpegzu4jxh.w-0','runs-0',NULL);
INSERT INTO events VALUES(45,1700000606000,1700000606000,'vm.placed','ws-xpegzu4jxh','slot-mniynwdwf2','ws-xpegzu4jxh.w-1','runs-1',NULL);
INSERT INTO events VALUES(46,1700000606000,1700000606000,'vm.context.ok','ws-xpegzu4jxh','slot-mniynwdwf2','ws-xpegzu4jxh.w-0','runs-0',NULL);
INSERT INTO events VALUES(47,1700000606000,1700000606000,'vm.running','ws-xpegzu4jxh','slot-mniynwdwf2','ws-xpegzu4jxh.w-0','runs-0',NULL);
INSERT INTO events VALUES(48,1700000606000,1700000606000,'vm.context.ok','ws-xpegzu4jxh','slot-mniynwdwf2','ws-xpegzu4jxh.w-1','runs-1',NULL);
INSERT INTO events VALUES(49,1700000606000,1700000606000,'vm.running','ws-xpegzu4jxh','slot-mniynwdwf2','ws-xpegzu4jxh.w-1','runs-1',NULL);
INSERT INTO events VALUES(50,1700000606000,1700000606000,'workspace.running','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,NULL);
INSERT INTO events VALUES(51,1700000606000,1700000606000,'slot.lrm','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,'{"code":"running","message":"the LRM''s job is running"}');
INSERT INTO events VALUES(52,1700000607000,1700000607000,'workspace.requested','ws-tn72agnvbq','slot-oybs2gngne',NULL,NULL,NULL);
INSERT INTO events VALUES(53,1700000607000,1700000607000,'slot.requested','ws-tn72agnvbq','slot-oybs2gngne',NULL,NULL,NULL);
INSERT INTO events VALUES(54,1700000607000,1700000607000,'slot.queued','ws-tn72agnvbq','slot-oybs2gngne',NULL,NULL,NULL);
INSERT INTO events VALUES(55,1700000607000,1700000607000,'workspace.queued','ws-tn72agnvbq','slot-oybs2gngne',NULL,NULL,NULL);
INSERT INTO events VALUES(56,1700000607000,1700000607000,'workspace.pending','ws-4fnpzv5hvf',NULL,NULL,NULL,NULL);
INSERT INTO events VALUES(57,1700000608000,1700000608000,'slot.lrm','ws-tn72agnvbq','slot-oybs2gngne',NULL,NULL,'{"code":"waiting","message":"the LRM''s job is waiting"}');
INSERT INTO events VALUES(58,1700000608000,1700000608000,'workspace.requested','ws-nag56yesxs','slot-wncq5lzwxi',NULL,NULL,NULL);
INSERT INTO events VALUES(59,1700000608000,1700000608000,'slot.requested','ws-nag56yesxs','slot-wncq5lzwxi',NULL,NULL,NULL);
INSERT INTO events VALUES(60,1700000608000,1700000608000,'slot.lrm-trouble','ws-nag56yesxs','slot-wncq5lzwxi',NULL,NULL,'{"code":"lrm_unavailable","message":"no answer"}');
INSERT INTO events VALUES(61,1700000609000,1700000609000,'slot.lrm-trouble','ws-xpegzu4jxh','slot-mniynwdwf2',NULL,NULL,'{"code":"lrm_unavailable","message":"no answer"}');
INSERT INTO events VALUES(62,1700000609000,1700000609000,'slot.lrm-trouble','ws-tn72agnvbq','slot-oybs2gngne',NULL,NULL,'{"code":"lrm_unavailable","message":"no answer"}');
CREATE TABLE outbox (number integer primary key autoincrement, key text not null unique, body text not null) strict;
INSERT INTO outbox VALUES(13,'submit:slot-wncq5lzwxi','{"kind":"lrm.submit","key":"submit:slot-wncq5lzwxi","slotId":"slot-wncq5lzwxi"}');
CREATE TABLE secrets (key text primary key, value text not null) strict;
INSERT INTO secrets VALUES('slot:slot-pw73okqevc','HYqQTE__V5vCj9OoBldiuVj4EIlXnPIXeudImpD305Y');
INSERT INTO secrets VALUES('workspace:ws-xpegzu4jxh','{"request":{"name":"runs","groups":[{"name":"w","image":"mini","count":2,"memoryMiB":256,"cpus":1}],"durationMs":7200000,"sshKeys":["ssh-ed25519 AAAA ann"]},"clusterKey":{"privateKey":"private ws-xpegzu4jxh","publicKey":"ssh-ed25519 AAAA ws-xpegzu4jxh"},"hostKeys":{"w-0":{"privateKey":"private ws-xpegzu4jxh.w-0","publicKey":"ssh-ed25519 AAAA ws-xpegzu4jxh.w-0"},"w-1":{"privateKey":"private ws-xpegzu4jxh.w-1","publicKey":"ssh-ed25519 AAAA ws-xpegzu4jxh.w-1"}}}');
INSERT INTO secrets VALUES('slot:slot-mniynwdwf2','DYaXZAQNdvYmvid7wxBy8ehdk3YiOyNYSBeiupg0ME8');
INSERT INTO secrets VALUES('workspace:ws-tn72agnvbq','{"request":{"name":"waits","groups":[{"name":"w","image":"mini","count":1,"memoryMiB":256,"cpus":1}]},"clusterKey":{"privateKey":"private ws-tn72agnvbq","publicKey":"ssh-ed25519 AAAA ws-tn72agnvbq"},"hostKeys":{"w-0":{"privateKey":"private ws-tn72agnvbq.w-0","publicKey":"ssh-ed25519 AAAA ws-tn72agnvbq.w-0"}}}');
INSERT INTO secrets VALUES('slot:slot-oybs2gngne','aai9HQerd7CUp3NngG8UheSN0a_asGr3ME5MFvbLvz8');
INSERT INTO secrets VALUES('workspace:ws-4fnpzv5hvf','{"request":{"name":"grows","groups":[{"name":"w","image":"mini","count":1,"memoryMiB":256,"cpus":1}],"pending":true},"clusterKey":{"privateKey":"private ws-4fnpzv5hvf","publicKey":"ssh-ed25519 AAAA ws-4fnpzv5hvf"},"hostKeys":{}}');
INSERT INTO secrets VALUES('workspace:ws-nag56yesxs','{"request":{"name":"owed","groups":[{"name":"w","image":"mini","count":1,"memoryMiB":256,"cpus":1}]},"clusterKey":{"privateKey":"private ws-nag56yesxs","publicKey":"ssh-ed25519 AAAA ws-nag56yesxs"},"hostKeys":{"w-0":{"privateKey":"private ws-nag56yesxs.w-0","publicKey":"ssh-ed25519 AAAA ws-nag56yesxs.w-0"}}}');
INSERT INTO secrets VALUES('slot:slot-wncq5lzwxi','TchS0syBhH6KNLmTdufBmfBjuVJUTkVlc248xrW-4Do');
CREATE TABLE access (kind text not null, id text not null, body text not null, primary key (kind, id)) strict;
INSERT INTO access VALUES('user','ann','{"name":"ann","role":"operator","projects":[],"disabled":false,"quota":null}');
CREATE TABLE audit (seq integer primary key autoincrement, body text not null) strict;
INSERT INTO audit VALUES(1,'{"at":"2023-11-14T22:13:20.000Z","user":"ann","token":null,"method":"POST","path":"/v1/workspaces","status":201,"code":null,"address":null}');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('audit',1);
INSERT INTO sqlite_sequence VALUES('events',62);
INSERT INTO sqlite_sequence VALUES('outbox',13);
CREATE INDEX events_of_workspace on events (workspace_id, seq);
COMMIT;
pragma user_version = 15;
