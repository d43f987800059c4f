#!lua flags=allow-oom
-- Store what vendors gave, raw, unless the inbox is full.
-- KEYS[1] the account's state hash
-- ARGV[1] the most entries, ARGV[2] the most bytes, then for each entry: bytes, kind, at (ms), method, query,
--         headers (msgpack), body
-- inbox stream: those fields; inbox_bytes string: the sum of the entries' bytes
-- Returns how many of the entries were stored: the first so many.

local prefix = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local inbox, held = prefix .. 'inbox', prefix .. 'inbox_bytes'
local entries = redis.call('XLEN', inbox)
local bytes = entries > 0 and tonumber(redis.call('GET', held) or '0') or 0
local stored = 0
for i = 3, #ARGV, 7 do
  local size = tonumber(ARGV[i])
  if entries >= tonumber(ARGV[1]) or bytes + size > tonumber(ARGV[2]) then break end
  redis.call('XADD', inbox, '*', 'kind', ARGV[i + 1], 'at', ARGV[i + 2], 'method', ARGV[i + 3], 'query', ARGV[i + 4],
    'headers', ARGV[i + 5], 'body', ARGV[i + 6])
  entries, bytes, stored = entries + 1, bytes + size, stored + 1
end
if stored > 0 then redis.call('SET', held, bytes) end
return stored
