-- Lets requests in that bring a known key, told by its SHA-256. Runs in Envoy's Lua filter (LuaJIT, so `bit` is there).
-- Above this text stand HEADER, the name of the header, CHALLENGE, what WWW-Authenticate says, and CLIENTS, a table from
-- checksums to names of clients.

local CLIENT = "x-pantala-client"
local LONGEST = 1024 -- characters of a key: nobody can make the sidecar compute for long

local band, bnot, bor, bxor = bit.band, bit.bnot, bit.bor, bit.bxor
local lshift, ror, rshift, tohex = bit.lshift, bit.ror, bit.rshift, bit.tohex

-- The constants of FIPS 180-4, 4.2.2: the first 32 bits of the fractions of the cube roots of the first 64 primes.
local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

-- The message, a one, zeros and the length in bits: whole blocks of 64 bytes (5.1.1).
local function padded(text)
  local bits = #text * 8
  local length = string.char(0, 0, 0, 0, band(rshift(bits, 24), 255), band(rshift(bits, 16), 255),
    band(rshift(bits, 8), 255), band(bits, 255))
  return text .. "\128" .. string.rep("\0", (55 - #text) % 64) .. length
end

-- One block into the state of eight words (6.2.2); sums are taken modulo 2^32 by the operations on bits.
local function compress(state, text, at)
  local w = {}
  for i = 0, 15 do
    local one, two, three, four = string.byte(text, at + 4 * i, at + 4 * i + 3)
    w[i] = bor(lshift(one, 24), lshift(two, 16), lshift(three, 8), four)
  end
  for i = 16, 63 do
    local s0 = bxor(ror(w[i - 15], 7), ror(w[i - 15], 18), rshift(w[i - 15], 3))
    local s1 = bxor(ror(w[i - 2], 17), ror(w[i - 2], 19), rshift(w[i - 2], 10))
    w[i] = band(w[i - 16] + s0 + w[i - 7] + s1, 0xffffffff)
  end
  local a, b, c, d, e, f, g, h = unpack(state)
  for i = 0, 63 do
    local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
    local t1 = h + s1 + bxor(band(e, f), band(bnot(e), g)) + K[i + 1] + w[i]
    local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
    local t2 = s0 + bxor(band(a, b), band(a, c), band(b, c))
    h, g, f, e, d, c, b, a = g, f, e, band(d + t1, 0xffffffff), c, b, a, band(t1 + t2, 0xffffffff)
  end
  for i, word in ipairs({a, b, c, d, e, f, g, h}) do
    state[i] = band(state[i] + word, 0xffffffff)
  end
end

-- The checksum of a text as 64 hexadecimal digits.
local function sha256(text)
  local state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
  local whole = padded(text)
  for at = 1, #whole, 64 do
    compress(state, whole, at)
  end
  local digits = {}
  for i, word in ipairs(state) do
    digits[i] = tohex(word)
  end
  return table.concat(digits)
end

-- The name of the client whose key a request brings, or nil. What is looked up is a checksum: how long that takes tells
-- nothing about a key. Several values of the header come joined with commas, and are no key.
local function client(headers)
  local key = headers:get(HEADER)
  if key ~= nil and HEADER == "authorization" then
    key = string.match(key, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.+)$")
  end
  if key == nil or key == "" or #key > LONGEST then
    return nil
  end
  return CLIENTS[sha256(key)]
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove(CLIENT)
  -- Envoy lets a request pass when a script fails: nothing may fail.
  local done, name = pcall(client, headers)
  if not done or name == nil then
    local said = "a valid key is required in the header " .. HEADER
    if HEADER == "authorization" then
      said = said .. ", behind the word Bearer"
    end
    handle:respond({[":status"] = "401", ["content-type"] = "text/plain", ["www-authenticate"] = CHALLENGE}, said .. "\n")
    return
  end
  headers:remove(HEADER)
  headers:replace(CLIENT, name)
end
