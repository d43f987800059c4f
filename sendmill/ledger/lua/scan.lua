-- include layout.lua
-- include pages.lua
-- Which slices may hold one of some recipients: their bytes are looked for in the bodies. A hit may be chance; the
-- reader makes sure.
-- KEYS[1] the account's state hash, from which the slices' names are made
-- ARGV[1] how many recipients, ARGV[2..] the bytes of each as a body holds them, then the slices
-- Returns {slices looked at, place from 1 of each hit, …}: not all slices where that would take longer than some ms.

-- Roughly what it takes, in ns: a slice, each byte of its body, each byte of it for each recipient.
local ENOUGH_NS, SLICE_NS, BYTE_NS, COMPARED_NS = 2000000, 2500, 1.2, 0.1

local prefix = string.sub(KEYS[1], 1, -6)
local recipients = tonumber(ARGV[1])
local before = 1 + recipients
local result, spent = { 0 }, 0

-- The body, or more than it; nil where the slice is gone.
local function body_of(id)
  local page, job = page_of(id)
  if page then return redis.call('HGET', prefix .. page, job) or nil end
  local name = prefix .. 's:' .. id
  local rows = redis.call('GETRANGE', name, 4, 7)
  return #rows == 4 and redis.call('GETRANGE', name, HEADER_BYTES + ARRAYS_BYTES * struct.unpack('<I4', rows), -1) or nil
end

for i = before + 1, #ARGV do
  local body = body_of(ARGV[i])
  if body then
    for wanted = 2, before do
      if string.find(body, ARGV[wanted], 1, true) then
        result[#result + 1] = i - before
        break
      end
    end
    spent = spent + #body * (BYTE_NS + COMPARED_NS * recipients)
  end
  result[1] = i - before
  spent = spent + SLICE_NS
  if spent >= ENOUGH_NS then break end
end
return result
