import java.sql.*;
import java.util.Properties;

/** What a JDBC tool does: connects, lists the tables, prepares, reads in portions, changes, fails. */
public class Probe {
    static void expect(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
        System.out.println("ok " + what);
    }
    public static void main(String[] arguments) throws Exception {
        Properties login = new Properties();
        login.setProperty("user", arguments[1]);
        login.setProperty("password", arguments[2]);
        try (Connection connection = DriverManager.getConnection(arguments[0], login)) {
            DatabaseMetaData about = connection.getMetaData();
            expect(about.getDatabaseProductName().equals("PostgreSQL"), "product name");
            int tables = 0;
            try (ResultSet rows = about.getTables(null, "main", "%", null)) {
                while (rows.next()) tables += rows.getString("TABLE_NAME").equals("events") ? 1 : 0;
            }
            expect(tables == 1, "getTables finds events");
            int columns = 0;
            try (ResultSet rows = about.getColumns(null, "main", "events", "%")) {
                while (rows.next()) {
                    columns++;
                    if (rows.getString("COLUMN_NAME").equals("customer_id"))
                        expect(rows.getInt("DATA_TYPE") == Types.BIGINT, "type of customer_id");
                }
            }
            expect(columns > 10, "getColumns");
            try (ResultSet rows = about.getSchemas()) { expect(rows.next(), "getSchemas"); }
            for (ResultSet rows : new ResultSet[] {
                    about.getPrimaryKeys(null, "main", "events"),
                    about.getImportedKeys(null, "main", "events"),
                    about.getExportedKeys(null, "main", "events"),
                    about.getCrossReference(null, "main", "events", null, "main", "customers"),
                    about.getIndexInfo(null, "main", "events", false, true),
                    about.getBestRowIdentifier(null, "main", "events", DatabaseMetaData.bestRowSession, true)}) {
                expect(!rows.next(), "no keys and no indexes");
                rows.close();
            }
            for (ResultSet rows : new ResultSet[] {
                    about.getCatalogs(), about.getTableTypes()}) {
                while (rows.next()) rows.getString(1);
                rows.close();
            }
            expect(true, "catalogs and kinds of tables");
            try (ResultSet rows = about.getTypeInfo()) { expect(rows.next(), "getTypeInfo"); }
            about.getVersionColumns(null, "main", "events").close();
            about.getProcedures(null, "main", "%").close();
            about.getFunctionColumns(null, "main", "%", "%").close();
            expect(true, "procedures and columns of functions");
            about.getClientInfoProperties().close();
            expect(about.getSQLKeywords() != null, "the rest of the metadata is answered");
            String sql = "SELECT event_id, customer_id, amount, ts FROM events WHERE event = ?";
            for (int round = 0; round < 8; round++) {
                // After five rounds the driver names its statement and asks for bytes.
                try (PreparedStatement statement = connection.prepareStatement(sql)) {
                    statement.setString(1, "purchase");
                    int count = 0;
                    try (ResultSet rows = statement.executeQuery()) {
                        while (rows.next()) {
                            count++;
                            rows.getLong(2); rows.getBigDecimal(3); rows.getTimestamp(4);
                        }
                    }
                    if (round == 7) expect(count > 0, "prepared, " + count + " rows");
                }
            }
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(2);
                int count = 0;
                try (ResultSet rows = statement.executeQuery("SELECT event_id FROM events")) {
                    while (rows.next()) count++;
                }
                expect(count >= 5, "read in portions, " + count + " rows");
            }
            connection.commit();
            connection.setAutoCommit(true);
            try (PreparedStatement insert = connection.prepareStatement(
                    "INSERT INTO events (event_id, ts, event, user_id) VALUES (?, ?, ?, ?)")) {
                insert.setString(1, "jdbc-1");
                insert.setString(2, "2026-05-01T00:00:00Z");
                insert.setString(3, "visit");
                insert.setString(4, "jdbc");
                expect(insert.executeUpdate() == 1, "executeUpdate");
            }
            try (Statement statement = connection.createStatement()) {
                statement.executeUpdate("CREATE OR REPLACE SEGMENT jdbc AS SELECT customer_id FROM events");
                expect(true, "CREATE SEGMENT");
                statement.executeQuery("SELECT amout FROM events");
                expect(false, "a slip is an error");
            } catch (SQLException slip) {
                expect("42703".equals(slip.getSQLState()), "a slip has its code: " + slip.getMessage());
            }
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                statement.executeQuery("SELECT count(*) FROM generate_series(1, 10000000000000) AS a(n) WHERE n % 7 = 3");
                expect(false, "the time-out of the driver ends a statement");
            } catch (SQLException late) {
                expect("57014".equals(late.getSQLState()), "the driver cancels");
            }
        }
    }
}
