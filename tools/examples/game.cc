// The first program of the README: a WebSocket game server that is its own control tool.
//
//   ./game start -d && ./game status && ./game stop

#include <ringmaster/websocket.h>

struct Player {
  std::string name;
};

int main(int argc, char** argv) {
  ringmaster::Server server;
  server.options.name = "game";

  auto& game = server.WebSocket<Player>("/play");
  game.allowed_origins = {"https://game.example", "http://127.0.0.1:8081"};
  game.on_open = [](auto& peer) { peer.context().name = "anon"; };
  game.on_message = [](auto& peer, ringmaster::Message message) {
    peer.SendText(peer.context().name + ": " + std::string(message.bytes));
  };

  server.Get("/", [](auto&, auto& response) { response.Text("connect to /play\n"); });
  server.Listen("127.0.0.1:8081");
  return ringmaster::Main(server, argc, argv);
}
