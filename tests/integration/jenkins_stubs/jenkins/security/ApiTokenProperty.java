package jenkins.security;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.UUID;

public class ApiTokenProperty {
    private final Store store = new Store();

    public Store getTokenStore() { return store; }

    public void revokeToken(String uuid) {
        store.tokens.removeIf(token -> token.uuid.equals(uuid));
        System.out.println("revoked");
    }

    public String addFixedNewToken(String name, String plain) {
        if (!plain.matches("11[a-f0-9]{32}")) {
            throw new IllegalArgumentException("the form of the token");
        }
        store.tokens.add(new Token(name, plain));
        System.out.println("token " + name);
        return store.tokens.get(store.tokens.size() - 1).uuid;
    }

    public static class Token {
        private final String uuid = UUID.randomUUID().toString();
        private final String name;
        private final String plain;

        Token(String name, String plain) {
            this.name = name;
            this.plain = plain;
        }

        public String getUuid() { return uuid; }

        public String getName() { return name; }
    }

    public static class Store {
        private final List<Token> tokens = new ArrayList<>();

        public Token findMatchingToken(String plain) {
            return tokens.stream().filter(token -> token.plain.equals(plain)).findFirst().orElse(null);
        }

        public Collection<Token> getTokenListSortedByName() { return new ArrayList<>(tokens); }
    }
}
