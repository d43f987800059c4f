#!lua flags=allow-oom
-- Store what vendors gave, raw, unless the inbox is full.
-- KEYS[1] the account's state hash
-- ARGV[1] the most entries, ARGV[2] the most bytes, then for each entry: bytes, kind, at (ms), method, query,
--         headers (msgpack), body, mark of its proof or "", ms for which that is remembered
-- inbox stream: those fields without the proof's; inbox_bytes string: the sum of the entries' bytes;
-- proof:<mark>:<digest> string: that this came under that proof. The same again is taken and not stored a second time; a
-- proof says nothing of what stands beside it, and vendors give several reports one.
-- Returns how many of the entries were dealt with: the first so many.

local prefix = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local inbox, held = prefix .. 'inbox', prefix .. 'inbox_bytes'
local entries = redis.call('XLEN', inbox)
local bytes = entries > 0 and tonumber(redis.call('GET', held) or '0') or 0
local stored = 0

-- Whether an entry is the first of its like under its proof.
local function is_first(i)
  if ARGV[i + 7] == '' then return true end
  local name = prefix .. 'proof:' .. ARGV[i + 7] .. ':' .. redis.sha1hex(ARGV[i + 4] .. ' ' .. ARGV[i + 6])
  return redis.call('SET', name, 1, 'NX', 'PX', ARGV[i + 8]) and true or false
end

for i = 3, #ARGV, 9 do
  local size = tonumber(ARGV[i])
  if entries >= tonumber(ARGV[1]) or bytes + size > tonumber(ARGV[2]) then break end
  if is_first(i) then
    redis.call('XADD', inbox, '*', 'kind', ARGV[i + 1], 'at', ARGV[i + 2], 'method', ARGV[i + 3], 'query', ARGV[i + 4],
      'headers', ARGV[i + 5], 'body', ARGV[i + 6])
    entries, bytes = entries + 1, bytes + size
  end
  stored = stored + 1
end
if stored > 0 then redis.call('SET', held, bytes) end
return stored
