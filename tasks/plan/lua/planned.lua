#!lua flags=allow-oom
-- Count chunks of jobs as planned, each once: their slices become the job's, the chunk and its cut go. A job without
-- another chunk waits for no planner any more.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV for each chunk: job, chunk, segments, msgpack {currency: millionths}, number of slices, then for each of these
-- msgpack [account, slice id, rows]
-- job:<job> hash, `slice`: msgpack [account, rows] of the only slice of a job of one chunk, in place of a list
-- Returns those of the jobs that were cancelled meanwhile.

local prefix = string.sub(KEYS[1], 1, -4)
local cancelled = {}

local function count(id, chunk, segments, cost, first, last)
  local job = prefix .. 'job:' .. id
  local told = redis.call('HMGET', job, 'meta', 'planned', 'chunks', 'cancelled')
  if told[4] then cancelled[#cancelled + 1] = id end
  if not told[1] or (told[2] or '0') ~= chunk then return end
  local fields = { 'planned', chunk + 1 }
  if first == last and not told[3] then
    local slice = cmsgpack.unpack(ARGV[first])
    fields[3], fields[4] = 'slice', cmsgpack.pack({ slice[1], slice[3] })
  elseif first <= last then
    for i = first, last do redis.call('RPUSH', prefix .. 'slices:' .. id, ARGV[i]) end
  end
  redis.call('HSET', job, unpack(fields))
  redis.call('HINCRBY', job, 'segments', segments)
  for currency, millionths in pairs(cmsgpack.unpack(cost)) do
    redis.call('HINCRBY', job, 'cost:' .. currency, string.format('%d', millionths))
  end
  redis.call('UNLINK', prefix .. 'chunk:' .. id .. ':' .. chunk)
  redis.call('HDEL', prefix .. 'cut:' .. id, chunk)
  if chunk + 1 >= tonumber(told[3] or '1') then
    redis.call('ZREM', prefix .. 'due', id)
    if not told[3] and redis.call('ZREM', prefix .. 'small:otp', id) == 0 then redis.call('ZREM', prefix .. 'small', id) end
  end
end

local i = 1
while i <= #ARGV do
  local slices = tonumber(ARGV[i + 4])
  count(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], i + 5, i + 4 + slices)
  i = i + 5 + slices
end
return cancelled
