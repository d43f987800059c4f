#!lua flags=allow-oom
-- Count chunks of jobs as planned, each once: their slices become the job's, the chunk and its cut go. A job without
-- another chunk waits for no planner any more.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV for each chunk: job, chunk, segments, msgpack {currency: millionths}, msgpack JobMeta that is kept from now on ("" for
-- the one that is there), number of slices, then for each of these msgpack [account, slice id, rows]
-- job:<job> hash, `slice`: msgpack [account, rows] of the only slice of a job of one chunk, in place of a list
-- Returns those of the jobs that were cancelled meanwhile.

local prefix = string.sub(KEYS[1], 1, -4)
local cancelled = {}
local done, done_alone, gone = {}, {}, {} -- jobs with no chunk left; those of one chunk; keys that nobody needs any more

local function count(id, chunk, segments, cost, bare, first, last)
  local job = prefix .. 'job:' .. id
  local told = redis.call('HMGET', job, 'meta', 'planned', 'chunks', 'cancelled')
  if told[4] then cancelled[#cancelled + 1] = id end
  if not told[1] or (told[2] or '0') ~= chunk then return end
  local alone = not told[3]
  -- What gets shorter goes first: the others then stand where it was.
  local fields = bare ~= '' and { 'meta', bare } or {}
  local function set(name, value) fields[#fields + 1], fields[#fields + 2] = name, value end
  set('planned', chunk + 1)
  if alone and first == last then
    local slice = cmsgpack.unpack(ARGV[first])
    local page = string.match(slice[2], '%.(p%d+)$')
    set('slice', cmsgpack.pack({ slice[1], slice[3], page }))
  elseif first <= last then
    redis.call('RPUSH', prefix .. 'slices:' .. id, unpack(ARGV, first, last))
  end
  local more = { segments = segments }
  for currency, millionths in pairs(cmsgpack.unpack(cost)) do
    more['cost:' .. currency] = string.format('%d', millionths)
  end
  for field, by in pairs(more) do
    -- The only chunk of a job is the first to add anything.
    if alone then
      set(field, by)
    else
      redis.call('HINCRBY', job, field, by)
    end
  end
  redis.call('HSET', job, unpack(fields))
  gone[#gone + 1] = prefix .. 'chunk:' .. id .. ':' .. chunk
  if alone then
    gone[#gone + 1] = prefix .. 'cut:' .. id
  else
    redis.call('HDEL', prefix .. 'cut:' .. id, chunk)
  end
  if chunk + 1 >= tonumber(told[3] or '1') then
    done[#done + 1] = id
    if alone then done_alone[#done_alone + 1] = id end
  end
end

local i = 1
while i <= #ARGV do
  local slices = tonumber(ARGV[i + 5])
  count(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], i + 6, i + 5 + slices)
  i = i + 6 + slices
end
if #gone > 0 then redis.call('UNLINK', unpack(gone)) end
if #done > 0 then redis.call('ZREM', prefix .. 'due', unpack(done)) end
for _, name in ipairs({ 'small:otp', 'small' }) do
  if #done_alone > 0 then redis.call('ZREM', prefix .. name, unpack(done_alone)) end
end
return cancelled
