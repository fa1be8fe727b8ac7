import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * An HTTP service that holds and leaks memory as each request says: GET /?leaked=&working=&churn= (see churn.c).
 * Arguments: PORT SEED STYLE GARBAGE, STYLE being what leaks: `list`, `map` or `direct` (off the heap); GARBAGE is how
 * many bytes each request makes and forgets.
 */
public class ChurnServer {
    static final List<Object> LEAKED = new ArrayList<>();
    static final Map<String, byte[]> LEAKED_MAP = new HashMap<>();
    static final List<byte[]> WORKING = new ArrayList<>();
    static double leakedBytes, workingBytes;
    static long serial;
    static volatile Object garbage;
    static Random chance;

    static void leak(String style) {
        int size = 600 + chance.nextInt(3400);
        serial++;
        if (style.equals("direct")) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(size + 16384);
            while (buffer.hasRemaining()) buffer.put((byte) 1);
            LEAKED.add(buffer);
            leakedBytes += size + 16384 + 150;
        } else if (style.equals("map")) {
            LEAKED_MAP.put("user:" + serial, new byte[size]);
            leakedBytes += size + 130;
        } else {
            LEAKED.add(new byte[size]);
            leakedBytes += size + 22;
        }
    }

    static void add() {
        int size = (int) (32 * Math.pow(2, 8 * chance.nextDouble()));
        WORKING.add(new byte[size]);
        workingBytes += size + 22;
    }

    static void drop() {
        int victim = chance.nextInt(WORKING.size());
        workingBytes -= WORKING.get(victim).length + 22;
        WORKING.set(victim, WORKING.get(WORKING.size() - 1));
        WORKING.remove(WORKING.size() - 1);
    }

    static void reach(String style, double leakTo, double workTo, int churn, int forgotten) {
        while (leakedBytes < leakTo) leak(style);
        for (int i = 0; i < churn && !WORKING.isEmpty(); i++) {
            drop();
            add();
        }
        while (workingBytes < workTo) add();
        while (!WORKING.isEmpty() && workingBytes > workTo) drop();
        for (int made = 0; made < forgotten; made += 2048) garbage = new byte[2032];
    }

    static double wanted(HttpExchange exchange, String name) {
        for (String pair : exchange.getRequestURI().getQuery().split("&"))
            if (pair.startsWith(name + "=")) return Double.parseDouble(pair.substring(name.length() + 1));
        return 0;
    }

    public static void main(String[] args) throws Exception {
        chance = new Random(Long.parseLong(args[1]));
        int forgotten = Integer.parseInt(args[3]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 16);
        server.createContext("/", exchange -> {
            reach(args[2], wanted(exchange, "leaked"), wanted(exchange, "working"), (int) wanted(exchange, "churn"), forgotten);
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        server.start();
    }
}
