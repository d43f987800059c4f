#!lua flags=allow-oom
-- Take a person out of a chunk of a job that is not planned yet: its rows become refused ones.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] job, ARGV[2] chunk, ARGV[3] sha1 of the chunk that the caller read, ARGV[4] the chunk without the person,
-- ARGV[5] how many accepted rows were refused, ARGV[6] msgpack JobMeta to store ("" for none)
-- job:<job> hash, `forgot`: how often this happened, so that a plan that has read the chunk before cuts nothing of it
-- Returns "done" | "planning" where it has been cut already: its slices come | "changed" since it was read, or gone.

local prefix = string.sub(KEYS[1], 1, -4)
local job, chunk = prefix .. 'job:' .. ARGV[1], prefix .. 'chunk:' .. ARGV[1] .. ':' .. ARGV[2]
local kept = redis.call('GET', chunk)
if not kept or redis.call('EXISTS', job) == 0 or redis.sha1hex(kept) ~= ARGV[3] then return 'changed' end
if redis.call('HEXISTS', prefix .. 'cut:' .. ARGV[1], ARGV[2]) == 1 then return 'planning' end
redis.call('SET', chunk, ARGV[4], 'KEEPTTL')
redis.call('HINCRBY', job, 'forgot', 1)
redis.call('HINCRBY', job, 'accepted', -ARGV[5])
redis.call('HINCRBY', job, 'suppressed', ARGV[5])
if ARGV[6] ~= '' then redis.call('HSET', job, 'meta', ARGV[6]) end
return 'done'
