--- A part of the QPACK interop data (github.com/qpackers/qifs, MIT licence): header lists, what encoders made of
--- them with a table of so many bytes, and inputs that are bad. Records are { stream, hex }; stream 0 is the encoder's.
return {
  lists = {
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "upgrade-insecure-requests", "1" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/global.css" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "text/css,*/*;q=0.1" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/global.js" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/donations/donors.js" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/NetBSD-smaller.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/download-icon-orange.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/support-icon-orange.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/community-icon-orange.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/develop-icon-orange.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/donate-icon-orange.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/links/paypal.gif" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/links/stripe-black-donate-small.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/links/cafepress.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/westernlogo_sm.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/columbia.jpg" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/fastly.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "http" },
      { ":authority", "www.netbsd.org" },
      { ":path", "/images/navBar-gradient.png" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate" },
      { "referer", "http://www.netbsd.org/global.css" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
    {
      { ":method", "GET" },
      { ":scheme", "https" },
      { ":authority", "www.paypalobjects.com" },
      { ":path", "/en_US/i/btn/btn_subscribe_SM.gif" },
      { "user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:58.0) Gecko/20100101 Firefox/58.0" },
      { "accept", "*/*" },
      { "accept-language", "en-US,en;q=0.5" },
      { "accept-encoding", "gzip, deflate, br" },
      { "referer", "http://www.netbsd.org/" },
      { "cookie", "PYPF=CT-2" },
      { "pragma", "no-cache" },
      { "cache-control", "no-cache" },
    },
  },
  encoded = {
    { encoder = "ls-qpack", table = 0, blocked = 0, records = {
      { 1, [[
        0000d1d6508bf1e3c2f51531a245cf64dfc15f50bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7
        da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b797075f0eb0497ca589d34d1f43aeba0c41a4c7a98f33a69a3fdf
        9a68fa1d75d0620d263d4c79a68fbed00177febe58f9fbed00177b5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40
        d25fff1f2daec1cd48ff86a8eb10649cbfe7]] },
      { 2, [[
        0000d1d6508bf1e3c2f51531a245cf64df5188626a0f18e85c88475f50bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb
        5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b797075f0e8e497ca582211f5f2c7cfdf680
        0b875f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd
        48ff86a8eb10649cbfe7]] },
      { 3, [[
        0000d1d6508bf1e3c2f51531a245cf64df5188626a0f18e85fa23f5f50bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb
        5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70ddf45abefb4005db
        5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 4, [[
        0000d1d6508bf1e3c2f51531a245cf64df518e6243d43498f521890f51ec42fd115f50bbd07f66a281b0dae053fae46aa43f8429
        a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70ddf4
        5abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 5, [[
        0000d1d6508bf1e3c2f51531a245cf64df519360d48e62a18d254dddd7d64523a282d8bd754d5f50bbd07f66a281b0dae053fae4
        6aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b
        2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb
        10649cbfe7]] },
      { 6, [[
        0000d1d6508bf1e3c2f51531a245cf64df519760d48e62a1890fe2aa0e3916310f52c7b0754c55ebaa6f5f50bbd07f66a281b0da
        e053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707
        dd5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48
        ff86a8eb10649cbfe7]] },
      { 7, [[
        0000d1d6508bf1e3c2f51531a245cf64df519660d48e62a1845b5d67b12b1887a963d83aa62af5d5375f50bbd07f66a281b0dae0
        53fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd
        5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff
        86a8eb10649cbfe7]] },
      { 8, [[
        0000d1d6508bf1e3c2f51531a245cf64df519860d48e62a1821e9a6da8c9f4b1887a963d83aa62af5d537f5f50bbd07f66a281b0
        dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b797
        07dd5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd
        48ff86a8eb10649cbfe7]] },
      { 9, [[
        0000d1d6508bf1e3c2f51531a245cf64df519660d48e62a1890bdcb41eb58c43d4b1ec1d53157aea9b5f50bbd07f66a281b0dae0
        53fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd
        5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff
        86a8eb10649cbfe7]] },
      { 10, [[
        0000d1d6508bf1e3c2f51531a245cf64df519560d48e62a1890f50d2558c43d4b1ec1d53157aea9b5f50bbd07f66a281b0dae053
        fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f
        398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86
        a8eb10649cbfe7]] },
      { 11, [[
        0000d1d6508bf1e3c2f51531a245cf64df519260d48e62a18a0d57543158fd563a1798d2ff5f50bbd07f66a281b0dae053fae46a
        a43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d
        4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10
        649cbfe7]] },
      { 12, [[
        0000d1d6508bf1e3c2f51531a245cf64df519f60d48e62a18a0d57543084d86acab4740c9d5690f50d2559148e8a17aea9bf5f50
        bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984
        d61653f961b79707dd5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7
        b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 13, [[
        0000d1d6508bf1e3c2f51531a245cf64df519360d48e62a18a0d57543041ca5aec2a10bd754d5f50bbd07f66a281b0dae053fae4
        6aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b
        2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb
        10649cbfe7]] },
      { 14, [[
        0000d1d6508bf1e3c2f51531a245cf64df519360d48e62a18f05424b65541e63c48a57aea9bf5f50bbd07f66a281b0dae053fae4
        6aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b
        2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb
        10649cbfe7]] },
      { 15, [[
        0000d1d6508bf1e3c2f51531a245cf64df518f60d48e62a1821e8b698cc35fa5737f5f50bbd07f66a281b0dae053fae46aa43f84
        29a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70dd
        f45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbf
        e7]] },
      { 16, [[
        0000d1d6508bf1e3c2f51531a245cf64df518d60d48e62a1894684d1e97aea9b5f50bbd07f66a281b0dae053fae46aa43f8429a7
        7a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70ddf45a
        befb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 17, [[
        0000d1d6508bf1e3c2f51531a245cf64df519460d48e62a18a87dee8ec5a6b07218b5257aea9bf5f50bbd07f66a281b0dae053fa
        e46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f39
        8b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d989d29aee30c78f1e17a8a98d122e7b26626a0f18e85c8847f2d
        aec1cd48ff86a8eb10649cbfe7]] },
      { 18, [[
        0000d1d75090f1e3c2f58fd563a0f1f4291285c87a7f519860b545c373066234d4c469aa245b1a0961a32c5bb42f31a55f50bbd0
        7f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d616
        53f961b79707dd5f398b2d4b70ddf45abefb4005dbdf5d919d29aee30c78f1e17a8a98d122e7b2663f5588d7cf5e182f6f585f2d
        aec1cd48ff86a8eb10649cbfe7]] },
    } },
    { encoder = "quinn", table = 0, blocked = 100, records = {
      { 1, [[
        0000d1d6508bf1e3c2f51531a245cf64dfc15f50bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7
        da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b797075f0fb0497ca589d34d1f43aeba0c41a4c7a98f33a69a3fdf
        9a68fa1d75d0620d263d4c79a68fbed00177febe58f9fbed00177b5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40
        d25fff1f2daec1cd48ff86a8eb10649cbfe7]] },
      { 2, [[
        0000d1d6508bf1e3c2f51531a245cf64df5188626a0f18e85c88475f50bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb
        5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b797075f0f8e497ca582211f5f2c7cfdf680
        0b875f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd
        48ff86a8eb10649cbfe7]] },
      { 3, [[
        0000d1d6508bf1e3c2f51531a245cf64df5188626a0f18e85fa23f5f50bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb
        5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70ddf45abefb4005db
        5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 4, [[
        0000d1d6508bf1e3c2f51531a245cf64df518e6243d43498f521890f51ec42fd115f50bbd07f66a281b0dae053fae46aa43f8429
        a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70ddf4
        5abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 5, [[
        0000d1d6508bf1e3c2f51531a245cf64df519360d48e62a18d254dddd7d64523a282d8bd754d5f50bbd07f66a281b0dae053fae4
        6aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b
        2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb
        10649cbfe7]] },
      { 6, [[
        0000d1d6508bf1e3c2f51531a245cf64df519760d48e62a1890fe2aa0e3916310f52c7b0754c55ebaa6f5f50bbd07f66a281b0da
        e053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707
        dd5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48
        ff86a8eb10649cbfe7]] },
      { 7, [[
        0000d1d6508bf1e3c2f51531a245cf64df519660d48e62a1845b5d67b12b1887a963d83aa62af5d5375f50bbd07f66a281b0dae0
        53fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd
        5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff
        86a8eb10649cbfe7]] },
      { 8, [[
        0000d1d6508bf1e3c2f51531a245cf64df519860d48e62a1821e9a6da8c9f4b1887a963d83aa62af5d537f5f50bbd07f66a281b0
        dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b797
        07dd5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd
        48ff86a8eb10649cbfe7]] },
      { 9, [[
        0000d1d6508bf1e3c2f51531a245cf64df519660d48e62a1890bdcb41eb58c43d4b1ec1d53157aea9b5f50bbd07f66a281b0dae0
        53fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd
        5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff
        86a8eb10649cbfe7]] },
      { 10, [[
        0000d1d6508bf1e3c2f51531a245cf64df519560d48e62a1890f50d2558c43d4b1ec1d53157aea9b5f50bbd07f66a281b0dae053
        fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f
        398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86
        a8eb10649cbfe7]] },
      { 11, [[
        0000d1d6508bf1e3c2f51531a245cf64df519260d48e62a18a0d57543158fd563a1798d2ff5f50bbd07f66a281b0dae053fae46a
        a43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d
        4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10
        649cbfe7]] },
      { 12, [[
        0000d1d6508bf1e3c2f51531a245cf64df519f60d48e62a18a0d57543084d86acab4740c9d5690f50d2559148e8a17aea9bf5f50
        bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984
        d61653f961b79707dd5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7
        b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 13, [[
        0000d1d6508bf1e3c2f51531a245cf64df519360d48e62a18a0d57543041ca5aec2a10bd754d5f50bbd07f66a281b0dae053fae4
        6aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b
        2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb
        10649cbfe7]] },
      { 14, [[
        0000d1d6508bf1e3c2f51531a245cf64df519360d48e62a18f05424b65541e63c48a57aea9bf5f50bbd07f66a281b0dae053fae4
        6aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b
        2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb
        10649cbfe7]] },
      { 15, [[
        0000d1d6508bf1e3c2f51531a245cf64df518f60d48e62a1821e8b698cc35fa5737f5f50bbd07f66a281b0dae053fae46aa43f84
        29a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70dd
        f45abefb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbf
        e7]] },
      { 16, [[
        0000d1d6508bf1e3c2f51531a245cf64df518d60d48e62a1894684d1e97aea9b5f50bbd07f66a281b0dae053fae46aa43f8429a7
        7a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f398b2d4b70ddf45a
        befb4005db5f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 17, [[
        0000d1d6508bf1e3c2f51531a245cf64df519460d48e62a18a87dee8ec5a6b07218b5257aea9bf5f50bbd07f66a281b0dae053fa
        e46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707dd5f39
        8b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40d25f5d989d29aee30c78f1e17a8a98d122e7b26626a0f18e85c8847f2d
        aec1cd48ff86a8eb10649cbfe7]] },
      { 18, [[
        0000d1d75090f1e3c2f58fd563a0f1f4291285c87a7f519860b545c373066234d4c469aa245b1a0961a32c5bb42f31a55f50bbd0
        7f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d616
        53f961b79707dd5f398b2d4b70ddf45abefb4005dbdf5d919d29aee30c78f1e17a8a98d122e7b2663f5588d7cf5e182f6f585f2d
        aec1cd48ff86a8eb10649cbfe7]] },
    } },
    { encoder = "ls-qpack", table = 4096, blocked = 100, records = {
      { 1, [[
        0000d1d6508bf1e3c2f51531a245cf64dfc15f50bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7
        da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b797075f0eb0497ca589d34d1f43aeba0c41a4c7a98f33a69a3fdf
        9a68fa1d75d0620d263d4c79a68fbed00177febe58f9fbed00177b5f398b2d4b70ddf45abefb4005db5f108a9bd9abfa5242cb40
        d25fff1f2daec1cd48ff86a8eb10649cbfe7]] },
      { 0, [[
        c08bf1e3c2f51531a245cf64dfff20bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8db
        cb83fb531149d4ec0801000200a984d61653f961b79707ff098b2d4b70ddf45abefb4005dbdf8a9bd9abfa5242cb40d25f65aec1
        cd48ff86a8eb10649cbf]] },
      { 2, [[
        0684d1d6105188626a0f18e85c8847115f0e8e497ca582211f5f2c7cfdf6800b8712135d919d29aee30c78f1e17a8a98d122e7b2
        663f14e7]] },
      { 0, "cd919d29aee30c78f1e17a8a98d122e7b2663f" },
      { 3, "0780d1d6845188626a0f18e85fa23f83dd82811080e7" },
      { 4, "0700d1d685518e6243d43498f521890f51ec42fd1184dd83828081e7" },
      { 5, [[
        0700d1d685519360d48e62a18d254dddd7d64523a282d8bd754d84dd83828081e7]] },
      { 6, [[
        0700d1d685519760d48e62a1890fe2aa0e3916310f52c7b0754c55ebaa6f84dd83828081e7]] },
      { 7, [[
        0700d1d685519660d48e62a1845b5d67b12b1887a963d83aa62af5d53784dd83828081e7]] },
      { 8, [[
        0700d1d685519860d48e62a1821e9a6da8c9f4b1887a963d83aa62af5d537f84dd83828081e7]] },
      { 9, [[
        0700d1d685519660d48e62a1890bdcb41eb58c43d4b1ec1d53157aea9b84dd83828081e7]] },
      { 10, [[
        0700d1d685519560d48e62a1890f50d2558c43d4b1ec1d53157aea9b84dd83828081e7]] },
      { 11, "0700d1d685519260d48e62a18a0d57543158fd563a1798d2ff84dd83828081e7" },
      { 12, [[
        0700d1d685519f60d48e62a18a0d57543084d86acab4740c9d5690f50d2559148e8a17aea9bf84dd83828081e7]] },
      { 13, [[
        0700d1d685519360d48e62a18a0d57543041ca5aec2a10bd754d84dd83828081e7]] },
      { 14, [[
        0700d1d685519360d48e62a18f05424b65541e63c48a57aea9bf84dd83828081e7]] },
      { 15, "0700d1d685518f60d48e62a1821e8b698cc35fa5737f84dd83828081e7" },
      { 16, "0700d1d685518d60d48e62a1894684d1e97aea9b84dd83828081e7" },
      { 17, [[
        0601d1d685519460d48e62a18a87dee8ec5a6b07218b5257aea9bf84dd83825d989d29aee30c78f1e17a8a98d122e7b26626a0f1
        8e85c8847f81e7]] },
      { 18, [[
        0700d1d75090f1e3c2f58fd563a0f1f4291285c87a7f519860b545c373066234d4c469aa245b1a0961a32c5bb42f31a584dd83df
        805588d7cf5e182f6f585f81e7]] },
    } },
    { encoder = "nghttp3", table = 256, blocked = 100, records = {
      { 0, [[
        c08bf1e3c2f51531a245cf64dfff20bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb53cb8d7da9677b8db
        cb83fb531149d4ec0801000200a984d61653f961b79707ff098b2d4b70ddf45abefb4005db]] },
      { 1, [[
        0482d1d610c1115f0eb0497ca589d34d1f43aeba0c41a4c7a98f33a69a3fdf9a68fa1d75d0620d263d4c79a68fbed00177febe58
        f9fbed00177b125f108a9bd9abfa5242cb40d25fff1f2daec1cd48ff86a8eb10649cbfe7]] },
      { 2, [[
        0400d1d6825188626a0f18e85c8847815f0e8e497ca582211f5f2c7cfdf6800b87805f108a9bd9abfa5242cb40d25f5d919d29ae
        e30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 3, [[
        0400d1d6825188626a0f18e85fa23f81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2dae
        c1cd48ff86a8eb10649cbfe7]] },
      { 4, [[
        0400d1d682518e6243d43498f521890f51ec42fd1181dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122
        e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 5, [[
        0400d1d682519360d48e62a18d254dddd7d64523a282d8bd754d81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e1
        7a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 6, [[
        0400d1d682519760d48e62a1890fe2aa0e3916310f52c7b0754c55ebaa6f81dd805f108a9bd9abfa5242cb40d25f5d919d29aee3
        0c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 7, [[
        0400d1d682519660d48e62a1845b5d67b12b1887a963d83aa62af5d53781dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c
        78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 8, [[
        0400d1d682519860d48e62a1821e9a6da8c9f4b1887a963d83aa62af5d537f81dd805f108a9bd9abfa5242cb40d25f5d919d29ae
        e30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 9, [[
        0400d1d682519660d48e62a1890bdcb41eb58c43d4b1ec1d53157aea9b81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c
        78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 10, [[
        0400d1d682519560d48e62a1890f50d2558c43d4b1ec1d53157aea9b81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78
        f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 11, [[
        0400d1d682519260d48e62a18a0d57543158fd563a1798d2ff81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a
        8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 12, [[
        0400d1d682519f60d48e62a18a0d57543084d86acab4740c9d5690f50d2559148e8a17aea9bf81dd805f108a9bd9abfa5242cb40
        d25f5d919d29aee30c78f1e17a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 13, [[
        0400d1d682519360d48e62a18a0d57543041ca5aec2a10bd754d81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e1
        7a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 14, [[
        0400d1d682519360d48e62a18f05424b65541e63c48a57aea9bf81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e1
        7a8a98d122e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 15, [[
        0400d1d682518f60d48e62a1821e8b698cc35fa5737f81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d1
        22e7b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 16, [[
        0400d1d682518d60d48e62a1894684d1e97aea9b81dd805f108a9bd9abfa5242cb40d25f5d919d29aee30c78f1e17a8a98d122e7
        b2663f2daec1cd48ff86a8eb10649cbfe7]] },
      { 17, [[
        0400d1d682519460d48e62a18a87dee8ec5a6b07218b5257aea9bf81dd805f108a9bd9abfa5242cb40d25f5d989d29aee30c78f1
        e17a8a98d122e7b26626a0f18e85c8847f2daec1cd48ff86a8eb10649cbfe7]] },
      { 18, [[
        0400d1d75090f1e3c2f58fd563a0f1f4291285c87a7f519860b545c373066234d4c469aa245b1a0961a32c5bb42f31a581dd80df
        5d919d29aee30c78f1e17a8a98d122e7b2663f5588d7cf5e182f6f585f2daec1cd48ff86a8eb10649cbfe7]] },
    } },
    { encoder = "f5", table = 4096, blocked = 100, records = {
      { 1, "0785d1d610c111121314ff1f15e7" },
      { 0, [[
        68b83b5339ec327d7f8bf1e3c2f51531a245cf64dfff20bbd07f66a281b0dae053fae46aa43f8429a77a8102e0fb5391aa71afb5
        3cb8d7da9677b8dbcb83fb531149d4ec0801000200a984d61653f961b79707deb0497ca589d34d1f43aeba0c41a4c7a98f33a69a
        3fdf9a68fa1d75d0620d263d4c79a68fbed00177febe58f9fbed00177bff098b2d4b70ddf45abefb4005dbdf8a9bd9abfa5242cb
        40d25f65aec1cd48ff86a8eb10649cbf]] },
      { 2, "0a82d1d68510841182811280e7" },
      { 0, [[
        c188626a0f18e85c8847de8e497ca582211f5f2c7cfdf6800b87cd919d29aee30c78f1e17a8a98d122e7b2663f]] },
      { 3, "0b80d1d6881087dd85848083e7" },
      { 0, "c188626a0f18e85fa23f" },
      { 4, "0c80d1d6891088dd86858184e7" },
      { 0, "c18e6243d43498f521890f51ec42fd11" },
      { 5, "0d80d1d68a1089dd87868285e7" },
      { 0, "c19360d48e62a18d254dddd7d64523a282d8bd754d" },
      { 6, "0e80d1d68b108add88878386e7" },
      { 0, "c19760d48e62a1890fe2aa0e3916310f52c7b0754c55ebaa6f" },
      { 7, "0f80d1d68c108bdd89888487e7" },
      { 0, "c19660d48e62a1845b5d67b12b1887a963d83aa62af5d537" },
      { 8, "1080d1d68d108cdd8a898588e7" },
      { 0, "c19860d48e62a1821e9a6da8c9f4b1887a963d83aa62af5d537f" },
      { 9, "1180d1d68e108ddd8b8a8689e7" },
      { 0, "c19660d48e62a1890bdcb41eb58c43d4b1ec1d53157aea9b" },
      { 10, "1280d1d68f108edd8c8b878ae7" },
      { 0, "c19560d48e62a1890f50d2558c43d4b1ec1d53157aea9b" },
      { 11, "1380d1d690108fdd8d8c888be7" },
      { 0, "c19260d48e62a18a0d57543158fd563a1798d2ff" },
      { 12, "1480d1d6911090dd8e8d898ce7" },
      { 0, [[
        c19f60d48e62a18a0d57543084d86acab4740c9d5690f50d2559148e8a17aea9bf]] },
      { 13, "1580d1d6921091dd8f8e8a8de7" },
      { 0, "c19360d48e62a18a0d57543041ca5aec2a10bd754d" },
      { 14, "1680d1d6931092dd908f8b8ee7" },
      { 0, "c19360d48e62a18f05424b65541e63c48a57aea9bf" },
      { 15, "1881d1d6941093dd11908c8fe7" },
      { 0, "c18f60d48e62a1821e8b698cc35fa5737fff098b2d4b70ddf45abefb4005db" },
      { 16, "1980d1d6961095dd80928e91e7" },
      { 0, "c18d60d48e62a1894684d1e97aea9b" },
      { 17, "1b81d1d6971096dd81931192e7" },
      { 0, [[
        c19460d48e62a18a87dee8ec5a6b07218b5257aea9bfcd989d29aee30c78f1e17a8a98d122e7b26626a0f18e85c8847f]] },
      { 18, "1d81d1d74f0a90f1e3c2f58fd563a0f1f4291285c87a7f1098dd83df911194e7" },
      { 0, [[
        c19860b545c373066234d4c469aa245b1a0961a32c5bb42f31a5c588d7cf5e182f6f585f]] },
    } },
  },
  bad = {
    { { 1, "ff" } },
    { { 1, "00" } },
    { { 1, "00ff" } },
    { { 1, "0081" } },
    { { 1, "000041" } },
    { { 1, "000027" } },
    { { 1, "000051ff" } },
    { { 1, "0000bf" } },
    { { 1, "0000c0" } },
    { { 1, "0000fe" } },
    { { 0, "01" } },
    { { 0, "ff80ffffffff01" } },
  },
}
