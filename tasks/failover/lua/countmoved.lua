#!lua flags=allow-oom
-- Make slices to which rows were moved a job's own, each once: from here on they are counted there.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] job, then for each slice: its id, msgpack [account, slice id, rows], segments that it has more than its rows had
-- before, msgpack {currency: millionths more}
-- Returns whether the job is cancelled (1 or 0), -1 where there is no such job any more.

local prefix = string.sub(KEYS[1], 1, -4)
local job = prefix .. 'job:' .. ARGV[1]
if redis.call('EXISTS', job) == 0 then return -1 end
for i = 2, #ARGV, 4 do
  if redis.call('HSETNX', prefix .. 'moved:' .. ARGV[1], ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('HINCRBY', job, 'segments', ARGV[i + 2])
    for currency, millionths in pairs(cmsgpack.unpack(ARGV[i + 3])) do
      redis.call('HINCRBY', job, 'cost:' .. currency, string.format('%d', millionths))
    end
  end
end
return redis.call('HEXISTS', job, 'cancelled')
