#!lua flags=allow-oom
-- Store how chunks of jobs are cut, each once; or find how they were.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV for each chunk: job, chunk, msgpack Cut to store where there is none yet, the job's `forgot` as it was before the
-- chunk was read ("" for none)
-- Returns for each the cut that holds, or nil where the chunk is planned already: its cut is gone, and another one, made
-- by a worker with other routes, would send its rows a second time. Or 0 where somebody was taken out of the chunk since
-- it was read.

local prefix = string.sub(KEYS[1], 1, -4)

local function stored(id, chunk, cut, forgot)
  local told = redis.call('HMGET', prefix .. 'job:' .. id, 'meta', 'planned', 'forgot')
  if not told[1] or (told[2] or '0') ~= chunk then return false end
  if (told[3] or '') ~= forgot then return 0 end
  local cuts = prefix .. 'cut:' .. id
  if redis.call('HSETNX', cuts, chunk, cut) == 1 then return cut end
  return redis.call('HGET', cuts, chunk)
end

local result = {}
for i = 1, #ARGV, 4 do result[#result + 1] = stored(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
return result
