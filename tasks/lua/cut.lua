#!lua flags=allow-oom
-- Store how a chunk of a job is cut, once; or find how it was.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] job, ARGV[2] chunk, ARGV[3] msgpack Cut to store where there is none yet,
-- ARGV[4] the job's `forgot` as it was before the chunk was read ("" for none)
-- Returns the cut that holds, or nil where the chunk is planned already: its cut is gone, and another one, made by a
-- worker with other routes, would send its rows a second time. Or 0 where somebody was taken out of the chunk since it
-- was read.

local prefix = string.sub(KEYS[1], 1, -4)
local job = prefix .. 'job:' .. ARGV[1]
if redis.call('EXISTS', job) == 0 or (redis.call('HGET', job, 'planned') or '0') ~= ARGV[2] then return nil end
local cuts = prefix .. 'cut:' .. ARGV[1]
if (redis.call('HGET', job, 'forgot') or '') ~= ARGV[4] then return 0 end
redis.call('HSETNX', cuts, ARGV[2], ARGV[3])
return redis.call('HGET', cuts, ARGV[2])
