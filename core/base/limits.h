/* Every bound that is not in the config, in one place. Reasons beside the number; defaults follow what trusted stacks
 * ship. */
#ifndef NEAP_BASE_LIMITS_H
#define NEAP_BASE_LIMITS_H

#define LIMIT_CONNECTION_ID 20u   /* bytes, QUIC v1 (RFC 9000 §17.2) */
#define LIMIT_MIN_CLIENT_DCID 8u  /* RFC 9000 §7.2 */
#define LIMIT_ACK_RANGES_KEPT 64u /* ranges of received packet numbers kept a space */
#define LIMIT_ACK_RANGES_SENT 32u /* ranges put into one ACK frame */
#define LIMIT_CRYPTO_BUFFER \
    65536u                    /* bytes of CRYPTO ahead of what TLS took, a level (RFC 9000 §7.5: >= 4096) */
#define LIMIT_CRYPTO_GAPS 64u /* ranges of out-of-order CRYPTO */
#define LIMIT_TLS_MESSAGE 65536u   /* one handshake message; a certificate chain is the largest */
#define LIMIT_TLS_CHAIN 10u        /* certificates in a chain */
#define LIMIT_TLS_EXTENSIONS 64u   /* extensions in one block; real ClientHellos have about 20 */
#define LIMIT_SERVER_NAME 255u     /* bytes of a host name (RFC 1035 §2.3.4) */
#define LIMIT_TLS_PARAMETERS 4096u /* bytes of transport parameters, ours and the peer's */
#define LIMIT_TICKET 4096u         /* bytes of a session ticket that a client keeps */
#define LIMIT_SESSION_DATA 256u    /* bytes that the layer above keeps with a session */
#define LIMIT_TICKETS_TRIED 4u    /* of a ClientHello that a server looks into, and external keys with them */
#define LIMIT_PSKS 4096u          /* external pre-shared keys of one config; more are asked for */
#define LIMIT_PSK_IDENTITY 128u   /* bytes of their identities; what is longer is a ticket of somebody's */
#define LIMIT_PSK_KEY_LEAST 16u   /* bytes of one of them (RFC 9257 §6), */
#define LIMIT_PSK_KEY 64u         /* and at most */
#define LIMIT_PSKS_ASKED 2u       /* identities that the application is asked about in one handshake */
#define LIMIT_SESSIONS 256u       /* that a client keeps, */
#define LIMIT_SESSIONS_SERVER 16u /* and of them with one server; */
#define LIMIT_SESSIONS_SHARE 16u  /* of memory_limit, a sixteenth: bytes of all of them */
#define LIMIT_UNKNOWN_PARAMETERS 32u /* unknown transport parameters that are checked for coming twice */
#define LIMIT_CERTIFICATE_SERIAL 20u /* bytes of a serial number (RFC 5280 §4.1.2.2) */
#define LIMIT_CHAIN_WORK 40u /* for signatures in the search of a path: ten of P-256, which are 4 each */
#define LIMIT_VERIFIED_SIGNATURES \
    64u                           /* in certificates, remembered by a config: 2 KiB once a peer was checked */
#define LIMIT_CHAIN_NAMES 65536u  /* what it may cost to hold names against constraints meanwhile */
#define LIMIT_RANDOM_BYTES 65536u /* from one seed of the generator */
#define LIMIT_RANDOM_SECONDS 300  /* it serves handshakes for so long */
#define LIMIT_TRUSTED_ROOTS 4096u /* root certificates of one config; a system has about 150 */
#define LIMIT_OCSP_RESPONSE 16384u     /* bytes of one that a server shows */
#define LIMIT_PINS 64u                 /* pinned keys of one config */
#define LIMIT_IDENTITIES 4096u         /* certificates of a server's config, */
#define LIMIT_IDENTITY_NAMES 65536u    /* and names in all of them */
#define LIMIT_ANSWERED_IDENTITIES 256u /* that the application gave for names, kept for certificate_ttl */
#define LIMIT_REVOCATION_LISTS 64u     /* of one config */
#define LIMIT_REVOCATION_BYTES \
    16777216u /* of one of them: half a million certificates; a large authority splits its lists before that */
#define LIMIT_CERTIFICATE_NAMES 32u /* names in a certificate that we make */
#define LIMIT_CERTIFICATE_REQUEST \
    4096u /* bytes of a request that we issue for; one of RSA-4096 has about 1200, and a few names */
#define LIMIT_STREAM_GAPS 512u         /* ranges of out-of-order data on one stream */
#define LIMIT_CHUNK_PAGES 32768u       /* pages of 32 KiB in the directory of one stream: 1 GiB ahead */
#define LIMIT_UNDECRYPTABLE_PACKETS 8u /* kept until keys come, before the handshake is done */
#define LIMIT_KEPT_PACKET 4096u        /* bytes of one of them */
#define LIMIT_ACK_EVERY 64u    /* ack-eliciting packets that we ask the peer to take for one ACK, at most, */
#define LIMIT_ACKS_A_WINDOW 8u /* while there are so many ACKs for a congestion window */
#define LIMIT_ACK_RANGES_TAKEN 256u /* ranges of one received ACK frame that are looked at, newest first */
#define LIMIT_STATELESS_ANSWERS \
    64u /* Retry, version negotiation, reset, refusal waiting to leave an endpoint */
#define LIMIT_ARRIVALS \
    64u /* datagrams of new clients that an endpoint keeps until the application decides, */
#define LIMIT_ARRIVAL_BYTES 131072u                /* their bytes, */
#define LIMIT_ARRIVAL_DATAGRAMS 4u                 /* of one client, */
#define LIMIT_ARRIVAL_SIZE 4096u                   /* bytes of one, */
#define LIMIT_ARRIVAL_NS UINT64_C(1000000000)      /* and how long: its client has sent it again by then */
#define LIMIT_KEY_UPDATE_AFTER (UINT64_C(1) << 22) /* packets sealed with AES-GCM before we update keys */
#define LIMIT_SEALED_GCM (UINT64_C(1) << 23)       /* RFC 9001 §6.6: AES-GCM, one key */
#define LIMIT_FORGED_GCM (UINT64_C(1) << 52)       /* RFC 9001 §6.6: packets that failed to open, AES-GCM */
#define LIMIT_FORGED_CHACHA (UINT64_C(1) << 36)    /* … ChaCha20-Poly1305 */
#define LIMIT_PATHS 4u                             /* network paths of a connection that have state */
#define LIMIT_PATH_IDS 3u  /* of draft-ietf-quic-multipath, beyond 0, that have state */
#define LIMIT_PATH_PTOS 7u /* probe timeouts in a row after which one of several path IDs is abandoned */
#define LIMIT_PATH_CHALLENGES 4u              /* of a path whose answers are still good; the oldest goes */
#define LIMIT_PATH_CHANGES 8u                 /* new addresses of a peer that get a path in a burst, */
#define LIMIT_PATH_CHANGE_EVERY (NEAP_SECOND) /* and one more each so often */
#define LIMIT_PATH_CHANGES_KEPT 2u            /* of the burst, until the address in use is silent */
#define LIMIT_PATH_REPETITIONS 32u            /* one in so many repetitions at most is drawn to begin one */
#define LIMIT_PATH_CHANGE_BACKOFF 6u          /* the wait until one is followed unproved doubles so often */
#define LIMIT_PATH_KEPT (60 * NEAP_SECOND)    /* one that a client proved and does not use is kept */
#define LIMIT_PATH_EVENTS 8u                  /* that the application has not taken */
#define LIMIT_PATH_RESPONSES 4u               /* PATH_CHALLENGE answers waiting; the oldest is dropped */
#define LIMIT_LOCAL_CONNECTION_IDS 4u         /* ours that the peer may use at a time, */
#define LIMIT_LOCAL_CONNECTION_IDS_HELD 5u    /* and with those that it is to retire */
#define LIMIT_CONNECTION_ID_RANDOM 4u         /* random bytes behind a prefix, at least */
#define LIMIT_PEER_CONNECTION_IDS \
    4u /* the preset of active_connection_id_limit: there are slots for twice as many */
#define LIMIT_CONNECTION_ID_TRIES 16u /* until one is found that no other connection of the endpoint has */
#define LIMIT_RETIRE_QUEUE 16u        /* RETIRE_CONNECTION_ID waiting to be sent or acknowledged */
#define LIMIT_VERSIONS 4u             /* of QUIC, that a config may have */
#define LIMIT_TOKEN 512u              /* bytes of an address validation token we take */
#define LIMIT_TOKENS_TAKEN 8u         /* of NEW_TOKEN frames that a client keeps of one connection, */
#define LIMIT_TOKENS_SERVER 4u        /* and of one server, beside its sessions; */
#define LIMIT_TOKEN_SECONDS 604800    /* for so long */
#define LIMIT_USED_TOKENS_ROW 8u      /* entries that are looked at for one in the register of used ones */
#define LIMIT_SENT_PACKETS 65536u     /* packets in flight tracked a space */
#define LIMIT_SENT_FRAMES 131072u     /* frames in them whose fate matters */
#define LIMIT_SENT_NON_ELICITING \
    8u /* packets that elicit nothing kept in a row: nobody may acknowledge them */
#define LIMIT_SENT_LOST_RANGES 16u /* ranges of lost numbers remembered to count spurious losses */
#define LIMIT_SENT_SKIPPED \
    16u                 /* numbers left out lately that are remembered; no lost ones from before them are */
#define LIMIT_UNDOS 16u /* reductions that are undone before one has to be none of these */
#define LIMIT_REORDERING_PACKETS 64u /* by which a packet may be late, where packets came late, */
#define LIMIT_REORDERING_EIGHTHS 8u  /* eighths of the round trip likewise, before it counts as lost */
#define LIMIT_REORDERING_EVENTS \
    16u /* congestion events in a row without a mistake, until it is as in the beginning */
#define LIMIT_PTO_BACKOFF 16u                     /* doublings of the probe timeout, */
#define LIMIT_PTO UINT64_C(60000000000)           /* and ns at which they end: RFC 8961 §4 allows no less */
#define LIMIT_PACING_RATE UINT64_C(1000000000000) /* bytes a second */
#define LIMIT_CONGESTION_WINDOW (UINT64_C(1) << 40) /* bytes in flight that a controller allows at most */
#define LIMIT_PACKETS_UNPROBED \
    32u /* both ways, before the size of the path is searched: short connections have no use for it */
#define LIMIT_PROBES_KNOWN \
    32u                    /* connections of an endpoint that ICMP messages find: those that probed last */
#define LIMIT_EXPECTED 32u /* datagrams that an endpoint is told of before they are given: those of a turn */
#define LIMIT_PACER_BURST 4194304u /* bytes that pacing lets leave at once, however fast the path */
#define LIMIT_DATAGRAM_FATES 1024u /* of DATAGRAM frames that are not known yet, or were not asked for */
#define LIMIT_UNSEEN_RANGES 256u   /* gaps between the streams of the peer that a frame has named, a kind */
#define LIMIT_SEND_BUFFER_LEAST 262144u /* bytes of a stream kept for the peer where the window sizes it, */
#define LIMIT_SEND_BUFFER_MOST 8388608u /* and at most, for all streams together above the least of each, */
#define LIMIT_SEND_BUFFER_SHARE 64u     /* or this part of the memory_limit */
#define LIMIT_STREAMS_KEPT 65536u       /* stream objects a connection, of either side */
#define LIMIT_HALF_OPEN 4096u /* connections in handshake an endpoint, before every new one gets Retry */
#define LIMIT_HALF_OPEN_REFUSED 8192u /* … before one without the token of a Retry is refused */
#define LIMIT_HALF_OPEN_MOST 12288u   /* … before every one is */
#define LIMIT_EARLY_BYTES \
    8388608u /* CRYPTO, packets without keys and streams, held for all that proved no address */
#define LIMIT_EARLY_LEAST \
    8192u /* of it each of them may hold in any case: 4096 out of order, in their chunks (RFC 9000 §7.5) */
#define LIMIT_EARLY_STREAMS \
    98304u /* of it each may hold for streams; a client sends a few datagrams of 0-RTT before it hears of us */
#define LIMIT_RECEIVE_SHARE \
    2u /* of memory_limit, a half: what stream data of all connections takes that no one has read */
#define LIMIT_RECEIVE_GROWTH_SHARE 4u /* of that, a quarter: above it windows do not grow */
#define LIMIT_RECEIVE_FLOOR 65536u    /* bytes of it each connection may hold in any case */
#define LIMIT_SEND_SHARE \
    3u /* of memory_limit, a third: what all connections have queued that is not acknowledged */
#define LIMIT_SEND_FLOOR 65536u /* bytes of it each connection may queue in any case, */
#define LIMIT_SEND_LEAST 2048u  /* and each stream that holds nothing, where the peer waits for it */
#define LIMIT_SEND_AHEAD 16384u /* bytes queued for a stream that the peer gave no credit for */
#define LIMIT_BLOCKED_LOOKS 64u /* streams looked at in vain when the connection gets credit */
#define LIMIT_PRIORITY_LOOKS \
    64u /* streams that one which has something to send is held against, for its place */
#define LIMIT_ADMISSION_CELLS 256u /* in which prefixes of a length are counted, twice: 8 KiB an endpoint */
#define LIMIT_SPENT_DESTINATIONS \
    512u /* remembered by their first destination, lest a late packet begin them again */
#define LIMIT_SPENT_SECONDS 30u          /* for so long */
#define LIMIT_RESET_RATE 1000u           /* stateless resets an endpoint sends a second, */
#define LIMIT_RESET_RATE_NETWORK 100u    /* to a network, */
#define LIMIT_RESET_NETWORKS 256u        /* of so many that are told apart */
#define LIMIT_CLOSE_REASON 256u          /* bytes of reason text kept or sent */
#define LIMIT_FIELD_SECTION 65536u       /* default SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §4.2.2) */
#define LIMIT_FIELDS 256u                /* field lines in one section */
#define LIMIT_SETTINGS_FRAME 1024u       /* bytes of the peer's HTTP/3 SETTINGS */
#define LIMIT_SETTINGS 64u               /* settings in it */
#define LIMIT_PARTIAL_SECTIONS 262144u   /* bytes of field sections that came in part, of a connection */
#define LIMIT_PRIORITY_FRAME 1024u       /* bytes of a PRIORITY_UPDATE */
#define LIMIT_PRIORITIES_AHEAD 16u       /* that are kept for requests which have not come */
#define LIMIT_PRIORITY_UPDATES 100u      /* of these, ahead of four for each request */
#define LIMIT_UNPRODUCTIVE_PACKETS 1000u /* packets that bring nothing, ahead of those that do and of time */
#define LIMIT_UNPRODUCTIVE_FRAMES 16u    /* so many frames that bring nothing count as one such packet */
#define LIMIT_UNPRODUCTIVE_RATE 100u     /* such packets that are forgiven a second */
#define LIMIT_KEY_UPDATE_COST \
    16u /* such packets that an update of the peer's keys counts for: a dozen hashes */
#define LIMIT_ABANDON_COST \
    64u /* and a path ID that the peer abandons: another one takes its place, with its connection IDs */
#define LIMIT_RETIREMENT_COST \
    16u /* and a connection ID of ours that the peer retires unasked: there is another to be made */
#define LIMIT_ECN_TEST 10u         /* packets that leave marked until it is known what becomes of marks, */
#define LIMIT_ECN_TEST_LOST 3u     /* of them lost in a row, beside unmarked ones that came, end it; */
#define LIMIT_ECN_LOST 10u         /* later it takes so many until there is another test */
#define LIMIT_GLITCHES 1000u       /* what an HTTP/3 peer may do in vain, ahead of good and of time */
#define LIMIT_GLITCH_RATE 2u       /* of it forgiven a second */
#define LIMIT_DATA_OVERSHOOT 2048u /* bytes of body queued past a stream's send buffer, against tiny frames */
#define LIMIT_HTTP1_LINE 16384u    /* bytes of a request line or status line (RFC 9112 §3: at least 8000) */
#define LIMIT_HTTP1_INPUT 65536u /* bytes that wait for the application, or a head where that may have more */
#define LIMIT_HTTP1_OUTPUT 65536u     /* bytes of a body that wait to be sent */
#define LIMIT_HTTP1_DRAIN 65536u      /* bytes of a body nobody wants, until its connection is given up */
#define LIMIT_HTTP1_EXTENSIONS 4096u  /* bytes of chunk extensions in a message */
#define LIMIT_HTTP1_OPTIONS 16u       /* names in the field connection */
#define LIMIT_HTTP1_INFORMATIONAL 16u /* 1xx responses to a request */
#define LIMIT_CLOCK_LOOK UINT64_C(1000000000) /* ns between looks at a clock that is not set yet */
#define LIMIT_TLS_STREAM_PROTOCOLS 4u         /* that a side of TLS over a stream of bytes speaks */
#define LIMIT_TLS_STREAM_SEND 32768u /* bytes that wait to be sent of one of them: a record, and more */
#define LIMIT_TLS_STREAM_HELLOS \
    16384u /* bytes of a client's part of a handshake, its certificates with it; */
#define LIMIT_TLS_STREAM_FLIGHT 65536u /* and of a server's */
#define LIMIT_TLS_SIDE_CREDENTIALS 64u /* certificates that are kept as the library wants them: 4 KiB each */
#define LIMIT_ALPN 255u                /* bytes of one protocol name */
#define LIMIT_ENDPOINT_TIMERS 128u     /* due timers that one neap_endpoint_send runs */
#define LIMIT_ENDPOINT_TURNS 256u      /* connections it asks that have nothing to send */
#define LIMIT_LOOP_SEND_BATCHES \
    4u /* of such batches an endpoint gets in one turn, so that receiving has its turn */
#define LIMIT_LOOP_POLLS_SKIPPED 63u /* waits that do not poll after one that did in vain, at most */
#define LIMIT_LOOP_SEND_MESSAGES 64u /* messages in one sendmmsg */
#define LIMIT_LOOP_SEND_BYTES \
    262144u /* bytes gathered for them: four full trains, for which a peer that sleeps is woken once */
#define LIMIT_LOOP_SEND_FIRST \
    98304u /* of them in the first of a turn: one full train, which the peer opens while the next are sealed */
#define LIMIT_LOOP_RECEIVE_MESSAGES \
    32u /* messages (GRO trains) a socket gives in one turn, so that sending has its turn too; empty ones count */
#define LIMIT_LOOP_ANSWER_BYTES \
    131072u /* taken of them before the endpoint may answer, so that the peer goes on meanwhile: two full trains */
#define LIMIT_LOOP_EVENTS 32u  /* from one epoll_wait */
#define LIMIT_UDP_TRAIN 65507u /* bytes of one UDP_SEGMENT send: what fits into one IPv4 packet */
#define LIMIT_UDP_SEGMENTS 64u /* datagrams in one: UDP_MAX_SEGMENTS of every kernel that has it */
#define LIMIT_LOOP_NETWORK_SETTLES \
    (100 * NEAP_MILLISECOND) /* from a change of links, addresses, routes until they are asked */
#define LIMIT_LOOP_NETWORK_EVERY (NEAP_SECOND)   /* for, and not more often than each so often */
#define LIMIT_LOOP_SWEEP_AFTER (5 * NEAP_SECOND) /* sockets of paths that are gone are looked for */
#define LIMIT_LOOP_ERRORS 16u                    /* ICMP messages read from a socket at a time */
#define LIMIT_LINKS 1024u                   /* TCP connections of a listener at a time, unless it is told */
#define LIMIT_LINKS_SHARE 4u                /* of these one network gets, a quarter, unless it is told */
#define LIMIT_LINK_BUFFER 65536u            /* bytes moved at a time */
#define LIMIT_LINK_TURN 262144u             /* bytes one of them receives or sends in a turn */
#define LIMIT_LINK_FIELDS 258u              /* of a response, with ours */
#define LIMIT_LINK_IDLE (60 * NEAP_SECOND)  /* without a request, or without taking anything of a response */
#define LIMIT_LINK_LINGER (2 * NEAP_SECOND) /* that a client gets to close when we have, … */
#define LIMIT_LINK_LINGER_BYTES 1048576u    /* … and bytes it may still send */
#define LIMIT_LINK_HEADERS (10 * NEAP_SECOND) /* for a TLS handshake, for the fields of a request */
#define LIMIT_LINK_HANDSHAKES \
    2u /* TLS handshakes that go on in a turn: one takes as long as hundreds of packets */
#define LIMIT_LINK_ALIVE 60u       /* seconds of silence after which the kernel asks a client, … */
#define LIMIT_LINK_ALIVE_AGAIN 10u /* … and between its questions, … */
#define LIMIT_LINK_ALIVE_TRIES 3u  /* … of which so many go without an answer */
#define LIMIT_LISTENER_ACCEPTS 32u /* connections taken in a turn */
#define LIMIT_LISTENER_PAUSE (100 * NEAP_MILLISECOND) /* while descriptors are short */
#define LIMIT_RESOLVES 32u                            /* names being looked up by a loop, a thread each */
#define LIMIT_HOST_NAME 253u                          /* bytes of a DNS name (RFC 1035 §2.3.4) */

/* Certificates of clients: anybody may send some. */
#define LIMIT_CLIENT_CERTIFICATES 16384u /* bytes of a client's Certificate; a tenth of them is usual */
#define LIMIT_CERTIFICATE_AUTHORITIES \
    2048u                              /* bytes of names that a server asks for; with more it names none */
#define LIMIT_TICKET_CERTIFICATE 3072u /* bytes of a leaf in a ticket; one of RSA-4096 has less than 2048 */
#define LIMIT_NAME_PARTS 64u           /* of a distinguished name, which is not read when it has more */

/* HTTP/2, a connection. */
#define LIMIT_HTTP2_STREAMS 100u             /* that the peer may have open (RFC 9113 §5.1.2), and we, */
#define LIMIT_HTTP2_STREAMS_KEPT 128u        /* and with those that an application has not let go of */
#define LIMIT_HTTP2_STREAM_WINDOW 131072u    /* bytes of a body that come before they are read, */
#define LIMIT_HTTP2_WINDOW 524288u           /* and of all bodies */
#define LIMIT_HTTP2_SEND_STREAM 131072u      /* bytes of a body that wait to be sent, */
#define LIMIT_HTTP2_SEND 1048576u            /* and of all bodies */
#define LIMIT_HTTP2_SECTIONS_WAITING 262144u /* bytes of field sections that nobody has polled for */
#define LIMIT_HTTP2_SECTION_GROWTH \
    16u /* times max_field_section_size that are decoded, and dropped, of one */
#define LIMIT_HTTP2_FRAMES_WAITING 256u /* to be sent, before no more bytes are taken */
#define LIMIT_HTTP2_SLICE 4096u         /* bytes that are taken between two looks at these */
#define LIMIT_HTTP2_ASIDES 100u         /* frames beside messages, as PING, ahead of four for each request */
#define LIMIT_HTTP2_ASIDE_BYTES 1024u   /* and one for so many bytes of bodies */
#define LIMIT_HTTP2_GOAWAY_NS (NEAP_SECOND) /* until the second GOAWAY of a server whose client is silent */

/* What a server under a memory limit keeps for handshakes. */
#define LIMIT_HANDSHAKE_MEMORY 32768u /* bytes that must be left for a connection to be accepted */
#define LIMIT_HANDSHAKE_REST 8192u /* … and for each in its handshake, which has most of its part already */
#define LIMIT_HANDSHAKE_RECORDS 2048u /* of that, for what it sends before its address is proved */
#define LIMIT_HANDSHAKES_PROVED 3u    /* while fewer could be carried, addresses are to be proved first */

#endif
