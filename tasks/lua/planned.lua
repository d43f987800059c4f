#!lua flags=allow-oom
-- Count a chunk of a job as planned, once: its slices become the job's, the chunk and its cut go.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] job, ARGV[2] chunk, ARGV[3] segments, ARGV[4] msgpack {currency: millionths},
-- ARGV[5..] msgpack [account, slice id, rows] of each slice
-- job:<job> hash, `slice`: msgpack [account, rows] of the only slice of a job of one chunk, in place of a list
-- Returns 1, or 0 where another plan of this job was faster.

local prefix = string.sub(KEYS[1], 1, -4)
local job, chunk = prefix .. 'job:' .. ARGV[1], ARGV[2]
local told = redis.call('HMGET', job, 'meta', 'planned', 'chunks')
if not told[1] or (told[2] or '0') ~= chunk then return 0 end
if #ARGV == 5 and not told[3] then
  local slice = cmsgpack.unpack(ARGV[5])
  redis.call('HSET', job, 'slice', cmsgpack.pack({ slice[1], slice[3] }))
else
  for i = 5, #ARGV do redis.call('RPUSH', prefix .. 'slices:' .. ARGV[1], ARGV[i]) end
end
redis.call('HINCRBY', job, 'planned', 1)
redis.call('HINCRBY', job, 'segments', ARGV[3])
for currency, millionths in pairs(cmsgpack.unpack(ARGV[4])) do
  redis.call('HINCRBY', job, 'cost:' .. currency, string.format('%d', millionths))
end
redis.call('UNLINK', prefix .. 'chunk:' .. ARGV[1] .. ':' .. chunk)
redis.call('HDEL', prefix .. 'cut:' .. ARGV[1], chunk)
return 1
