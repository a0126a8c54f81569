import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;

/**
 * Reads a table of two lines in the ways of Java programs, through pools of connections, until its standard input ends.
 *
 * <p>Arguments: the JDBC URL, the user, the password, the table, and the revs of the rows that nobody changes, with commas between
 * them. It prints a line for all that no reader may see: a missing table or column, a missing row, rows of both lines, and at the end
 * "reads WAY READS TURNS STALL" for each way: how often it read, how often it saw another line than before, and the longest read in ms.
 *
 * <p>Statements that the server prepares and the driver keeps name the columns that both lines have: where the number of columns is
 * another than when it was prepared, as after any ALTER TABLE, Connector/J (9.6.0, 9.7.0) fails with ArrayIndexOutOfBoundsException.
 */
public final class Pool {
    private static final int CONNECTIONS = 3;
    private static final int THREADS = 5; // more than a pool has connections

    private final String table;
    private final Set<Long> anchors;
    private final AtomicBoolean ends = new AtomicBoolean();

    private Pool(String table, Set<Long> anchors) {
        this.table = table;
        this.anchors = anchors;
    }

    /** A way of reading: one look at the table. */
    private interface Look {
        void at(Connection connection, Reading into) throws SQLException;
    }

    /** What threads that read in one way have seen. */
    private static final class Way {
        final String name;
        int reads;
        int turns;
        long stall;

        Way(String name) {
            this.name = name;
        }

        synchronized void add(boolean turned, long millis) {
            reads++;
            turns += turned ? 1 : 0;
            stall = Math.max(stall, millis);
        }
    }

    /** What one statement has read. */
    private final class Reading {
        int rows;
        int shadows;
        int found;

        void take(ResultSet rs) throws SQLException {
            ResultSetMetaData columns = rs.getMetaData();
            Set<String> names = new HashSet<>();
            for (int i = 1; i <= columns.getColumnCount(); i++) {
                names.add(columns.getColumnLabel(i));
            }
            rows = shadows = found = 0;
            while (rs.next()) {
                long rev = rs.getLong("rev");
                boolean shadow = rs.getLong("amount") / rev >= 25; // 20 or 30 times as much
                if (names.size() > 2 && shadow != names.contains("total")) {
                    throw new SQLException("the columns are " + names + ", and the amount of rev " + rev + " is " + rs.getLong("amount"));
                }
                rs.getString(1);
                rows++;
                shadows += shadow ? 1 : 0;
                found += anchors.contains(rev) ? 1 : 0;
            }
        }

        String wrong() {
            if (shadows != 0 && shadows != rows) {
                return shadows + " of " + rows + " rows are of the second line";
            }
            return found == anchors.size() ? null : found + " of " + anchors.size() + " rows that nobody changes";
        }
    }

    private void prepared(Connection connection, Reading into) throws SQLException {
        boolean kept = connection.getMetaData().getURL().contains("useServerPrepStmts");
        String columns = kept ? "rev, amount" : "*";
        try (PreparedStatement s = connection.prepareStatement("SELECT " + columns + " FROM " + table + " WHERE rev > ?")) {
            s.setLong(1, 0);
            try (ResultSet rs = s.executeQuery()) {
                into.take(rs);
            }
        }
    }

    /** Rows come one by one, while the statement goes on. */
    private void streamed(Connection connection, Reading into) throws SQLException {
        try (Statement s = connection.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY)) {
            s.setFetchSize(Integer.MIN_VALUE);
            try (ResultSet rs = s.executeQuery("SELECT * FROM " + table)) {
                into.take(rs);
            }
        }
    }

    /** Two looks in one transaction, as of an object mapper that loads what it has loaded again. */
    private void transaction(Connection connection, Reading into) throws SQLException {
        connection.setAutoCommit(false);
        try {
            prepared(connection, into);
            int rows = into.rows;
            int shadows = into.shadows;
            prepared(connection, into);
            if (rows != into.rows || shadows != into.shadows) {
                throw new SQLException("two looks in one transaction: " + rows + " rows, " + shadows + " of the second line, and then "
                        + into.rows + ", " + into.shadows);
            }
            connection.commit();
        } finally {
            connection.rollback();
            connection.setAutoCommit(true);
        }
    }

    private void read(HikariDataSource pool, Way way, Look look) {
        boolean before = false;
        while (!ends.get()) {
            long from = System.nanoTime();
            Reading seen = new Reading();
            try (Connection connection = pool.getConnection()) {
                look.at(connection, seen);
            } catch (SQLException | RuntimeException e) {
                System.out.println(way.name + ": " + String.valueOf(e).replace('\n', ' '));
                return;
            }
            String wrong = seen.wrong();
            if (wrong != null) {
                System.out.println(way.name + ": " + wrong);
                return;
            }
            boolean shadow = seen.shadows > 0;
            way.add(shadow != before, (System.nanoTime() - from) / 1_000_000);
            before = shadow;
            try {
                Thread.sleep(100); // others need the machine, too
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    private static HikariDataSource open(String url, String user, String password, String properties) {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url + properties);
        config.setUsername(user);
        config.setPassword(password);
        config.setMaximumPoolSize(CONNECTIONS);
        return new HikariDataSource(config);
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        Pool p = new Pool(args[3], Arrays.stream(args[4].split(",")).map(Long::valueOf).collect(Collectors.toSet()));
        TreeMap<String, Look> looks = new TreeMap<>();
        looks.put("prepared", p::prepared);
        looks.put("streamed", p::streamed);
        looks.put("transaction", p::transaction);
        // Statements that the driver fills in; that the server prepares, and the driver keeps; settings that its makers recommend.
        TreeMap<String, String> drivers = new TreeMap<>();
        drivers.put("client", "?socketTimeout=120000");
        drivers.put("server", "?socketTimeout=120000&useServerPrepStmts=true&cachePrepStmts=true");
        drivers.put("cursor", "?socketTimeout=120000&useServerPrepStmts=true&cachePrepStmts=true&useCursorFetch=true&defaultFetchSize=100");
        List<Thread> threads = new ArrayList<>();
        List<Way> ways = new ArrayList<>();
        List<HikariDataSource> pools = new ArrayList<>();
        drivers.forEach((driver, properties) -> {
            HikariDataSource pool = open(args[0], args[1], args[2], properties);
            pools.add(pool);
            List<Way> own = looks.keySet().stream().map(look -> new Way(driver + "-" + look)).collect(Collectors.toList());
            ways.addAll(own);
            for (int i = 0; i < THREADS; i++) {
                Way way = own.get(i % own.size());
                Look look = looks.get(way.name.substring(driver.length() + 1));
                threads.add(new Thread(() -> p.read(pool, way, look)));
            }
        });
        threads.forEach(Thread::start);
        System.out.println("reading");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        while (in.readLine() != null) {
            continue;
        }
        p.ends.set(true);
        for (Thread thread : threads) {
            thread.join();
        }
        pools.forEach(HikariDataSource::close);
        ways.forEach(way -> System.out.printf("reads %s %d %d %d%n", way.name, way.reads, way.turns, way.stall));
    }
}
