#pragma once

// What an application that speaks WebSocket includes: Route, Peer, Message, CloseInfo.

#include "protocols/websocket/service/close_handshake.h"
#include "protocols/websocket/service/message.h"
#include "protocols/websocket/service/peer.h"
#include "protocols/websocket/service/route.h"
