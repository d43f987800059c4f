#!lua flags=allow-oom
-- Take what is due, for a while: who takes it and dies lets others have it later.
-- KEYS[1] zset: member → ms when it is due
-- ARGV[1] ms of now, ARGV[2] ms until which it is taken, ARGV[3] the most
-- Returns the members.

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], 'XX', ARGV[2], member) end
return due
